"""Tests of the load generator, without a platform."""
