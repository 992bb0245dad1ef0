"""A telemetry runtime that keeps its spans in memory."""

import logging
from collections.abc import Iterator
from io import BytesIO

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.telemetry import setup


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    """Give the root logger back to pytest after a test whose telemetry took it over."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


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
