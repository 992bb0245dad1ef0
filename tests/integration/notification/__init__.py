"""Notification from an event to an e-mail, on a real PostgreSQL."""
