"""Queries and panels as data, and their translation into Grafana's JSON."""
