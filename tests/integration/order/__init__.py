"""Orders on a real PostgreSQL: their history, their sagas, their way from an older schema."""
