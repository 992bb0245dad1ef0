"""How does a span leave the process? Batched, in bounded memory, attributes from an allow-list, drops counted."""

import os
from collections.abc import Sequence
from itertools import filterfalse
from threading import Lock

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult

from observability.telemetry.metrics import Metrics

# What a span may carry. FastAPI's instrumentation also sets client.address, url.query and the like: a query holds ids.
ALLOWED_ATTRIBUTES = frozenset(
    {
        "db.client.connection.wait_time",
        "db.namespace",
        "db.operation.batch.size",
        "db.operation.name",
        "db.query.summary",
        "db.response.returned_rows",
        "db.system.name",
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "messaging.batch.message_count",
        "messaging.consumer.group.name",
        "messaging.destination.name",
        "messaging.operation.name",
        "network.protocol.version",
        "rpc.method",
        "rpc.request.metadata.grpc-previous-rpc-attempts",
        "rpc.response.status_code",
        "rpc.system.name",
        "server.address",
        "server.port",
        "shop.cache.shared",
        "shop.context",
        "shop.error_id",
        "shop.event.age_seconds",
        "shop.event.type",
        "shop.order.id",
        "shop.order.line_count",
        "shop.outcome",
        "shop.reservation.id",
        "shop.use_case",
        "url.scheme",
    }
)


def make_exporter() -> SpanExporter | None:
    """Return the exporter that OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_* ask for; None for "none".

    Raises ValueError for a name we do not have.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    name = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if name == "none":
        return None
    if name == "console":
        return ConsoleSpanExporter()
    if name != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER must be otlp, console or none, is {name!r}")
    shared = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", shared)
    if protocol == "grpc":
        return GrpcExporter()
    if protocol == "http/protobuf":
        return HttpExporter()
    raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL must be grpc or http/protobuf, is {protocol!r}")


def redacted(span: ReadableSpan) -> ReadableSpan:
    """Return the span without the attributes that are not on the allow-list; the same object when it has none."""
    attributes = span.attributes or {}
    if not any(filterfalse(ALLOWED_ATTRIBUTES.__contains__, attributes)):
        return span
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={key: value for key, value in attributes.items() if key in ALLOWED_ATTRIBUTES},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class CountingExporter(SpanExporter):
    """Redacts and counts what it hands to the real exporter; runs in the batch thread, off the request path."""

    def __init__(self, exporter: SpanExporter, *, metrics: Metrics, on_taken: "PendingSpans") -> None:
        self._exporter = exporter
        self._metrics = metrics
        self._pending = on_taken

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch; a failed batch is lost and counted."""
        self._pending.take(len(spans))
        result = self._exporter.export([redacted(span) for span in spans])
        failed = result is not SpanExportResult.SUCCESS
        self._metrics.spans_exported.add(len(spans), "export_failed" if failed else "")
        return result

    def shutdown(self) -> None:
        """Shut the real exporter down."""
        self._exporter.shutdown()


class PendingSpans:
    """How many spans wait for the exporter; bounded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._lock = Lock()

    def put(self) -> bool:
        """Count one more; False when the queue is full."""
        with self._lock:
            if self._count >= self._limit:
                return False
            self._count += 1
            return True

    def take(self, count: int) -> None:
        """Count `count` fewer."""
        with self._lock:
            self._count -= count


class CountingBatchProcessor(BatchSpanProcessor):
    """The SDK's batch processor, which drops silently when its queue is full: here a drop is refused and counted."""

    def __init__(self, exporter: SpanExporter, *, metrics: Metrics) -> None:
        # A request makes about 15 spans: the SDK's default of 2048 would hold 7 s of 20 requests a second.
        queue_size = int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE", "8192"))
        self._pending = PendingSpans(queue_size)
        self._metrics = metrics
        for error_type in ("", "queue_full"):
            metrics.spans_processed.add(0, error_type)
        for error_type in ("", "export_failed"):
            metrics.spans_exported.add(0, error_type)
        super().__init__(CountingExporter(exporter, metrics=metrics, on_taken=self._pending), max_queue_size=queue_size)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span, or count it as dropped."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._pending.put():
            self._metrics.spans_processed.add(1, "")
            super().on_end(span)
        else:
            self._metrics.spans_processed.add(1, "queue_full")
