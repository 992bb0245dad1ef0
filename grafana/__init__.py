"""Dashboards built by Python, and the provisioning that gives them and their datasources to Grafana."""
