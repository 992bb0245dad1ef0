"""Facts about the parts of the local supervisor, without a platform."""
