"""How are the rules and configurations of Prometheus and Alertmanager made? From data, by plain functions."""
