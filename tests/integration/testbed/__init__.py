"""Prometheus and Alertmanager as the lab runs them."""
