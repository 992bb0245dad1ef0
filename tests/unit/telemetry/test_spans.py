"""Spans are exported redacted and in bounded memory, and no exporter blocks the process."""

import threading
from collections.abc import Sequence
from io import StringIO

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from observability.telemetry import setup
from observability.telemetry.logs import LogOutputs, make_logger
from observability.telemetry.metrics import Metrics
from observability.telemetry.spans import CountingBatchProcessor, Rejections, make_exporter, redacted


class Exporter(SpanExporter):
    """Keeps what it gets, or fails, or hangs until it is let go."""

    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS, hangs: bool = False) -> None:
        self.spans: list[ReadableSpan] = []
        self.let_go = threading.Event()
        self._result = result
        self._hangs = hangs

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take a batch."""
        if self._hangs:
            self.let_go.wait(60)
        self.spans += spans
        return self._result


def provider_with(exporter: SpanExporter) -> tuple[TracerProvider, Metrics]:
    """Return a provider that exports through our processor, and the metrics that it counts in."""
    metrics = Metrics(registry=CollectorRegistry())
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        CountingBatchProcessor(
            exporter, metrics=metrics, log=structlog.wrap_logger(structlog.ReturnLogger()), rejections=Rejections()
        )
    )
    return provider, metrics


def count(metrics: Metrics, name: str, error_type: str) -> float:
    """Return a counter's value."""
    return metrics.registry.get_sample_value(f"{name}_total", {"error_type": error_type}) or 0.0


def test_only_allowed_attributes_leave() -> None:
    """The rest of the span stays as it was."""
    exporter = Exporter()
    provider, metrics = provider_with(exporter)
    with provider.get_tracer("test").start_as_current_span(
        "GET", attributes={"http.route": "/orders", "url.query": "customer=1", "client.address": "10.0.0.1"}
    ):
        pass
    provider.shutdown()
    (span,) = exporter.spans
    assert span.attributes == {"http.route": "/orders"}
    assert span.name == "GET"
    assert count(metrics, "otel_sdk_exporter_span_exported", "") == 1


def test_a_clean_span_is_not_copied() -> None:
    """Redaction costs nothing where there is nothing to take out."""
    span = ReadableSpan("GET", attributes={"http.route": "/orders"})
    assert redacted(span) is span


def test_a_failed_export_is_counted_as_lost() -> None:
    """Under its reason."""
    provider, metrics = provider_with(Exporter(SpanExportResult.FAILURE))
    provider.get_tracer("test").start_span("lost").end()
    provider.shutdown()
    assert count(metrics, "otel_sdk_exporter_span_exported", "export_failed") == 1


def test_a_full_queue_refuses_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ended is either queued or counted as dropped, and nothing waits."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    exporter = Exporter(hangs=True)
    provider, metrics = provider_with(exporter)
    for _ in range(20):
        provider.get_tracer("test").start_span("one").end()
    dropped = count(metrics, "otel_sdk_processor_span_processed", "queue_full")
    assert dropped > 0
    assert count(metrics, "otel_sdk_processor_span_processed", "") + dropped == 20
    exporter.let_go.set()
    provider.shutdown()
    assert len(exporter.spans) == 20 - dropped


def test_shutting_down_keeps_its_limit_when_the_exporter_hangs() -> None:
    """It says that spans were left behind instead of waiting for them."""
    exporter = Exporter(hangs=True)
    provider, metrics = provider_with(exporter)
    provider.get_tracer("test").start_span("stuck").end()
    runtime = setup.Runtime(provider, metrics, make_logger(service_name="test", level=20, outputs=LogOutputs()))
    assert not runtime.shut_down(timeout_seconds=0.2)
    exporter.let_go.set()


@pytest.mark.parametrize(("variable", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_traces_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """By the standard's own variables."""
    monkeypatch.setenv(variable, value)
    assert make_exporter(Rejections(), console=StringIO()) is None


def test_the_resource_is_the_environments_where_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over ours."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    attributes = setup.make_resource("order").attributes
    assert (attributes["service.name"], attributes["deployment.environment.name"]) == ("mine", "staging")
    assert attributes["service.namespace"] == "shop"


@pytest.mark.parametrize(("chosen", "name"), [("lean", "plumbline"), ("stock", "opentelemetry")])
def test_the_resource_names_the_sdk(monkeypatch: pytest.MonkeyPatch, chosen: str, name: str) -> None:
    monkeypatch.setenv("PLUMB_TELEMETRY_SDK", chosen)
    assert setup.make_resource("order").attributes["telemetry.sdk.name"] == name
