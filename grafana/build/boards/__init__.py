"""Dashboards, one file each."""
