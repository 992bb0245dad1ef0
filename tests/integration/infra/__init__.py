"""Mechanisms on a real PostgreSQL."""
