"""Use cases of inventory, and the ports they need."""
