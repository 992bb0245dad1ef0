"""Adapters of orders: PostgreSQL, and the tokens and rows that it needs."""
