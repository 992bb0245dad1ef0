"""Shapes of queries and panels, and how they become Grafana's JSON."""
