"""Commands: the use case that sends confirmations."""
