"""Mistakes that are put into the manifests, each with the check that must find it."""
