"""Tests of the read model of orders on a real PostgreSQL: projection, pages, rebuild, and dead letters."""
