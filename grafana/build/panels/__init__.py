"""Panels and rows that the dashboards are made of."""
