"""How inventory keeps its state."""
