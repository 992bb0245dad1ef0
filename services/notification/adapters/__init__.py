"""Adapters of notification: PostgreSQL, SMTP, and a folder."""
