"""How notifications are kept, and how they leave."""
