"""Chaos campaigns: one file for each kind of failure."""
