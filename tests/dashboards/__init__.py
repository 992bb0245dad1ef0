"""Checks of the dashboards: what they read, how they explain it, and how they are built."""
