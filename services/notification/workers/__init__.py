"""Background work of every notification process."""
