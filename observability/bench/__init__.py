"""Benchmarks: commands that print what one mechanism costs or gains."""
