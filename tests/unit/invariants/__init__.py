"""Tests of the invariants, without a database."""
