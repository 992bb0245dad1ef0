"""Semantic conventions: reads the span attributes of many instrumentations in one form, one module a subject."""
