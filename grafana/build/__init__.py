"""Which dashboards are there? Each is a module of panels; `python -m grafana.build` writes them as JSON."""
