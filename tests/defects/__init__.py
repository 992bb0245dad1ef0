"""Naive versions put back on purpose: each must be caught by a test that has a name."""
