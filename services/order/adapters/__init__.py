"""How orders are kept."""
