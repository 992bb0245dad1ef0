"""What sends: one file a use case."""
