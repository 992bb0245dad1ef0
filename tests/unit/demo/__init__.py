"""Tests of the demo, without a platform."""
