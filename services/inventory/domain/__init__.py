"""Rules of stock and reservations, synchronous and deterministic."""
