"""Queries: the use cases that read orders, one a file."""
