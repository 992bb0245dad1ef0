"""Build of the dashboards: each is a module of panels; `python -m grafana.build` writes them as JSON."""
