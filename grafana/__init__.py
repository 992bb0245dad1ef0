"""How is the shop shown? Dashboards built by Python, and how Grafana is told about them and its datasources."""
