"""Faults of the alert drill, by what they break."""
