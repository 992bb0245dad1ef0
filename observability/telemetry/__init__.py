"""The runtime telemetry library: the only part of `observability` that services import."""
