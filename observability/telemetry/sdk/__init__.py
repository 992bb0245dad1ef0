"""A small tracing SDK behind the OpenTelemetry API: spans, sampling, export in batches by OTLP over HTTP.

A request pays only for what it records. Spans are redacted and encoded in the thread that exports them.
"""
