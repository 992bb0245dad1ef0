"""Queries: the use cases that read stock, one a file."""
