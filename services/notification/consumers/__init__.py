"""Consumers of notification."""
