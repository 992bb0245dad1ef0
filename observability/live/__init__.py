"""Live sources: download traces from Jaeger or Tempo and metrics from Prometheus into a folder."""
