"""Benchmarks on real servers, in small."""
