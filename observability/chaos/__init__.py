"""Chaos campaigns: break a real platform under load, and check its invariants and every answer afterwards."""
