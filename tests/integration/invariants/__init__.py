"""The checker of invariants, on a real shop that is sound, tampered with, or at work."""
