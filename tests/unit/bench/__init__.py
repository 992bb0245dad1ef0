"""Tests of the benchmarks, without a platform."""
