"""What changes orders: one file a use case."""
