"""Embedded servers of the platform on this machine: PostgreSQL, NATS, Valkey."""
