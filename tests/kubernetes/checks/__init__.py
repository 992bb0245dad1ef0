"""Checks of the rendered manifests; each is a function that yields one sentence for each fault."""
