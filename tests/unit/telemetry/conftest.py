"""A telemetry runtime that keeps its spans in memory."""

from io import BytesIO

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.telemetry import setup


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Return an exporter that keeps finished spans."""
    return InMemorySpanExporter()


@pytest.fixture
def logs() -> BytesIO:
    """Return the stream of log lines."""
    return BytesIO()


@pytest.fixture
def runtime(spans: InMemorySpanExporter, logs: BytesIO) -> setup.Runtime:
    """Return a runtime with a registry, a provider and a log of its own."""
    return setup.start("test", log_level="info", processor=SimpleSpanProcessor(spans), log_stream=logs)
