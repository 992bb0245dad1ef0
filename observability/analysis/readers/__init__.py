"""Readers of traces as other tools store them: one module a format, told apart by content."""
