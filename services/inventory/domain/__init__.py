"""The rules of stock and reservations: synchronous, deterministic."""
