"""Rules of orders, synchronous and deterministic."""
