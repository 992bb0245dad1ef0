"""What the telemetry library records, and what it does when nobody takes it."""
