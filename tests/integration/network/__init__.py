"""Tests of the fault proxy on real connections."""
