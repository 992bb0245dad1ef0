"""Tests of the load generator against real servers."""
