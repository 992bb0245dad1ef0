"""Fakes written by hand: the smallest things that satisfy the ports."""
