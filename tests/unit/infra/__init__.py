"""Mechanisms that need nothing but themselves."""
