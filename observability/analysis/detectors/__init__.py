"""Detectors of bottlenecks: one file a class, and the registry that runs all of them."""
