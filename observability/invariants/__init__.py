"""Invariants I1 to I8 of the shop's databases and its event log, checked from outside."""
