"""Checks of what the manifests mean, each a function that says the faults it finds."""
