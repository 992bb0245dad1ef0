"""Text of confirmations, synchronous and deterministic."""
