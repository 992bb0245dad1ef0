"""Prometheus and Alertmanager as the testbed runs them."""
