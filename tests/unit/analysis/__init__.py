"""Facts about the pure functions over spans and samples."""
