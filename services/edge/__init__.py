"""The REST edge: what a customer's browser or script talks to."""
