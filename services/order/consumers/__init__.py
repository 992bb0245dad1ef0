"""Consumers of the order context."""
