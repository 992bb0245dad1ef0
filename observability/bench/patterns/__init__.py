"""Benchmark of the patterns: a short measurement of each, and the table of docs/patterns.md."""
