"""Commands: the use cases that change stock, one a file."""
