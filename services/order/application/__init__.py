"""The use cases of orders, and what they need."""
