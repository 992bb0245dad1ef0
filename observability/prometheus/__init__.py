"""Which rules does Prometheus evaluate, and whom does Alertmanager tell? Written by `build`, committed beside it."""
