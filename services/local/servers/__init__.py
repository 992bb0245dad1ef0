"""Servers that the platform needs, started on this machine: PostgreSQL, NATS, Valkey."""
