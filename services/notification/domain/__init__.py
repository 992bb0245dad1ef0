"""The words of a confirmation: synchronous, deterministic."""
