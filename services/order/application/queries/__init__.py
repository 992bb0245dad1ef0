"""What reads orders: one file a use case."""
