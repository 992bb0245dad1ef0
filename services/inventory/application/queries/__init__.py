"""What reads stock: one file a use case."""
