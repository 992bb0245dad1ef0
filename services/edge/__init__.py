"""REST edge: the HTTP API for customers."""
