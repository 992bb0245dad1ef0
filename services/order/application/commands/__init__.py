"""Commands: the use cases that change orders, one a file."""
