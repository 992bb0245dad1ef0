"""Tests of the fault proxy, without a network."""
