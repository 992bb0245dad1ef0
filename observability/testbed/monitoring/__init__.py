"""Prometheus and Alertmanager beside a platform on this machine."""
