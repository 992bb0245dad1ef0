"""The rules of reservations."""
