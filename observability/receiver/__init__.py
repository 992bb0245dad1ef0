"""Local receiver of traces: takes OTLP over HTTP, and writes standard OTLP/JSON lines to files."""
