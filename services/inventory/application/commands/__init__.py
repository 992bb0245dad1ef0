"""What changes stock: one file a use case."""
