"""Facts about the local supervisor with real processes and a real PostgreSQL."""
