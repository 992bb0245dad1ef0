"""Rules and configurations of Prometheus and Alertmanager, written by `build` and committed."""
