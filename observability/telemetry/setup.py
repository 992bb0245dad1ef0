"""Set-up of traces, metrics and logs, once in each process."""

import logging
import os
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import BinaryIO
from uuid import uuid4

from opentelemetry.instrumentation.propagators import TraceResponsePropagator, set_global_response_propagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from prometheus_client import CollectorRegistry, Info, exposition
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from structlog.typing import FilteringBoundLogger

from observability.telemetry import WARNINGS_AT_IMPORT
from observability.telemetry.environment import keep_proxies_off_this_machine, settle
from observability.telemetry.logs import (
    LogOutputs,
    make_logger,
    open_outputs,
    take_over_library_logs,
    take_over_standard_error,
)
from observability.telemetry.metrics import Metrics
from observability.telemetry.process import LoopLag, add_process_collectors
from observability.telemetry.sdk.provider import RecordingTracerProvider
from observability.telemetry.sdk.stock import StockProcessor
from observability.telemetry.span_export import make_processor
from observability.telemetry.spans import CountingBatchProcessor, Rejections, make_exporter
from observability.telemetry.telemetry import Telemetry

VERSION = "0.1.0"
# lean: the SDK of observability/telemetry/sdk. stock: opentelemetry-sdk.
DEFAULT_SDK = "lean"
# The convention: an SDK that is not OpenTelemetry's own has another name.
LEAN_SDK = {"telemetry.sdk.name": "plumbline", "telemetry.sdk.version": VERSION}


@dataclass(frozen=True, slots=True)
class Runtime:
    """Telemetry of one process, which is shut down last.

    provider: makes tracers, and exports spans.
    metrics: the metrics of the process.
    log: logger with the service's name.
    loop_lag: event-loop lag, for admission control.
    outputs: where log lines go.
    """

    provider: TracerProvider | RecordingTracerProvider
    metrics: Metrics
    log: FilteringBoundLogger
    loop_lag: LoopLag = field(default_factory=LoopLag)
    outputs: LogOutputs = field(default_factory=LogOutputs)

    def for_context(self, context: str) -> Telemetry:
        """Return the instruments of one context."""
        tracer = self.provider.get_tracer("plumbline", VERSION)
        return Telemetry(context, tracer, self.metrics, self.log.bind(context=context))

    def add_span_processor(self, processor: SpanProcessor) -> None:
        """Let a processor of the stock SDK take the spans that end, too."""
        if isinstance(self.provider, RecordingTracerProvider):
            self.provider.add_span_processor(StockProcessor(processor))
        else:
            self.provider.add_span_processor(processor)

    def render_metrics(self, names: Collection[str] = (), *, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics of these names, or all of them, and the content type.

        The format is OpenMetrics with exemplars, or Prometheus's older text format for a client that accepts only that.
        """
        registry = self.metrics.registry
        # Rendering all takes milliseconds of the event loop, too much for a client that samples a gauge very often.
        chosen = registry.restricted_registry(names) if names else registry
        if "text/plain" in accept and "application/openmetrics-text" not in accept:
            return exposition.generate_latest(chosen), exposition.CONTENT_TYPE_LATEST
        body: bytes = generate_latest(chosen)  # type: ignore[no-untyped-call]  # has no annotations
        return body, CONTENT_TYPE_LATEST

    def shut_down(self, *, timeout_seconds: float) -> bool:
        """Flush and stop in a thread, which is abandoned at the time limit: the SDK's own flush has none.

        Return whether all spans were exported or dropped in time.
        """
        flushing = threading.Thread(target=self.provider.shutdown, name="telemetry-shutdown", daemon=True)
        flushing.start()
        flushing.join(timeout_seconds)
        return not flushing.is_alive()


def start(
    service_name: str, *, log_level: str, processor: SpanProcessor | None = None, log_stream: BinaryIO | None = None
) -> Runtime:
    """Set up traces, metrics and logs by the OTEL_* variables; a test may pass its own processor and stream.

    An invalid value is replaced by the default, with a warning in the log.
    """
    keep_proxies_off_this_machine(os.environ)
    warnings = [*WARNINGS_AT_IMPORT, *settle(os.environ)]
    # FastAPI's instrumentation reads it at its start; without it, span attributes have their old names.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    # Adds the header `traceresponse` with the trace id to each response.
    set_global_response_propagator(TraceResponsePropagator())  # type: ignore[no-untyped-call]  # has no annotations
    enabled = os.environ.get("OTEL_METRICS_EXPORTER", "prometheus") != "none"
    metrics = Metrics(registry=CollectorRegistry(), enabled=enabled)
    level = logging.getLevelNamesMapping()[log_level.upper()]
    on_dropped = metrics.log_lines_dropped.add
    outputs = LogOutputs(log_stream.write) if log_stream else open_outputs(service_name, on_dropped=on_dropped)
    log = make_logger(service_name=service_name, level=level, outputs=outputs)
    take_over_library_logs(log)
    if log_stream is None:
        take_over_standard_error(log)
    for warning in dict.fromkeys(warnings):
        log.warning("telemetry.setting_left_out", reason=warning)
    resource = make_resource(service_name)
    runtime = Runtime(make_provider(resource), metrics, log, outputs=outputs)
    if processor:
        runtime.add_span_processor(processor)
    else:
        add_exporting_processor(runtime)
    if enabled:
        add_process_collectors(metrics.registry)
        attributes = {key.replace(".", "_"): str(value) for key, value in resource.attributes.items()}
        Info("target", "The resource this process describes.", registry=metrics.registry).info(attributes)
    return runtime


def make_provider(resource: Resource) -> TracerProvider | RecordingTracerProvider:
    """Return a provider of the SDK that PLUMB_TELEMETRY_SDK names: ours (lean), or OpenTelemetry's own (stock)."""
    if uses_stock_sdk():
        return TracerProvider(resource=resource, shutdown_on_exit=False)
    return RecordingTracerProvider(resource=resource)


def uses_stock_sdk() -> bool:
    """Return whether PLUMB_TELEMETRY_SDK names OpenTelemetry's own SDK."""
    return os.environ.get("PLUMB_TELEMETRY_SDK", DEFAULT_SDK).lower() == "stock"


def add_exporting_processor(runtime: Runtime) -> None:
    """Let the runtime export its spans as the OTEL_* variables say."""
    metrics, log, console = runtime.metrics, runtime.log, runtime.outputs.as_text()
    if isinstance(runtime.provider, RecordingTracerProvider):
        if lean := make_processor(metrics=metrics, log=log, console=console):
            runtime.provider.add_span_processor(lean)
        return
    rejections = Rejections()
    if exporter := make_exporter(rejections, console=console):
        stock = CountingBatchProcessor(exporter, metrics=metrics, log=log, rejections=rejections)
        runtime.provider.add_span_processor(stock)


def make_resource(service_name: str) -> Resource:
    """Return the resource of this process; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override the defaults."""
    defaults = Resource(
        {
            "service.name": service_name,
            "service.namespace": "shop",
            "service.version": VERSION,
            "service.instance.id": str(uuid4()),
            "deployment.environment.name": "local",
        }
    )
    given = Resource.create().attributes
    unnamed = {key for key in ("service.name",) if str(given.get(key, "")).startswith("unknown_service")}
    resource = defaults.merge(Resource({key: value for key, value in given.items() if key not in unnamed}))
    return resource if uses_stock_sdk() else resource.merge(Resource(LEAN_SDK))
