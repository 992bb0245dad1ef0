"""Trials: the platform under load with one thing changed, and all that was seen of it written down for a diagnosis."""
