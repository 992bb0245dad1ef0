"""Observations of the lab's own platform, trimmed: what the engine is tried on without running anything."""
