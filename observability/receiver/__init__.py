"""A local receiver of traces: OTLP over HTTP in, standard OTLP/JSON lines in files out."""
