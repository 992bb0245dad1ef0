"""The alert drill, without a platform."""
