"""Recorded observations of experiments, trimmed, on which the diagnosis is tested without running a platform."""
