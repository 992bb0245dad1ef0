"""Tests of stock under concurrency, on a real PostgreSQL."""
