"""Background work of every inventory process."""
