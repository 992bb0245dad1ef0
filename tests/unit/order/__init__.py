"""The rules and the endings of orders."""
