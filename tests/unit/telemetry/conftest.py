"""A telemetry runtime that keeps its spans in memory."""

from io import BytesIO

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.telemetry import setup


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Where finished spans are kept."""
    return InMemorySpanExporter()


@pytest.fixture
def logs() -> BytesIO:
    """Where log lines go."""
    return BytesIO()


@pytest.fixture
def runtime(spans: InMemorySpanExporter, logs: BytesIO) -> setup.Runtime:
    """A runtime of the test's own: own registry, own provider, own log."""
    return setup.start("test", log_level="info", processor=SimpleSpanProcessor(spans), log_stream=logs)
