"""Testbed: a platform on this machine as campaigns, drills and experiments drive it."""
