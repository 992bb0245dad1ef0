"""The rules of an order: synchronous, deterministic."""
