"""Adapters of inventory: PostgreSQL, and the codec of cached hints."""
