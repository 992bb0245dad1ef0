"""The use cases of inventory, and what they need."""
