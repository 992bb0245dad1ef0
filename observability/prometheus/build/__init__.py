"""Build of the rules and configurations of Prometheus and Alertmanager, from data by plain functions."""
