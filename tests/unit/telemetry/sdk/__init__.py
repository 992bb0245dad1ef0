"""Tests of the SDK of spans."""
