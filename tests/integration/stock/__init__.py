"""Stock under many hands, on a real PostgreSQL."""
