"""Observability of the shop: telemetry library, load generator, experiments, reports and command line."""
