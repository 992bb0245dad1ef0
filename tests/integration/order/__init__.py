"""Tests of orders on a real PostgreSQL: events, sagas, and migration from an older schema."""
