"""Export of the stock SDK's spans, with attributes from an allow-list; lost spans are counted."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import filterfalse
from threading import Lock
from typing import IO

import requests
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from structlog.typing import FilteringBoundLogger

from observability.telemetry.environment import protocol_of
from observability.telemetry.metrics import Metrics
from observability.telemetry.sdk.stock import bounded, with_dropped

# Attributes that may be exported. FastAPI's instrumentation also sets client.address and url.query, which may hold ids.
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


@dataclass(slots=True)
class Rejections:
    """Spans of the running export that the endpoint rejected in a successful response, and the reason."""

    spans: int = 0
    reason: str = ""

    def note(self, answer: ExportTraceServiceResponse) -> None:
        """Add the rejected spans of a response."""
        self.spans += max(0, answer.partial_success.rejected_spans)
        self.reason = answer.partial_success.error_message or self.reason

    def take(self) -> tuple[int, str]:
        """Return the number and the reason, and begin at 0 again."""
        spans, self.spans = self.spans, 0
        return spans, self.reason


def make_exporter(rejections: Rejections, *, console: IO[str]) -> SpanExporter | None:
    """Return the exporter that OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_* select; None for "none".

    It notes spans that the endpoint rejects in `rejections`; "console" writes one line for each span.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    match os.environ.get("OTEL_TRACES_EXPORTER", "otlp").lower():
        case "none":
            return None
        case "console":
            return ConsoleSpanExporter(out=console, formatter=lambda span: span.to_json(indent=None) + "\n")
    if protocol_of(os.environ) == "grpc":
        from observability.telemetry.otlp_grpc import WatchedGrpcExporter  # noqa: PLC0415 - saves 0.1 s when unused

        return WatchedGrpcExporter(rejections.note)
    session = requests.Session()
    session.hooks["response"].append(partial(_look_at_response, rejections))
    return HttpExporter(session=session)


def _look_at_response(rejections: Rejections, response: requests.Response, **_: object) -> None:
    if response.ok:
        with suppress(DecodeError):  # a response that is not OTLP rejects nothing
            rejections.note(ExportTraceServiceResponse.FromString(response.content))


def redacted(span: ReadableSpan) -> ReadableSpan:
    """Return the span with allowed attributes only; the same object when all of its attributes are allowed."""
    attributes = span.attributes or {}
    if not any(filterfalse(ALLOWED_ATTRIBUTES.__contains__, attributes)):
        return span
    allowed = {key: value for key, value in attributes.items() if key in ALLOWED_ATTRIBUTES}
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=with_dropped(allowed, span.dropped_attributes),
        events=bounded(span.events, span.dropped_events),
        links=bounded(span.links, span.dropped_links),
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class CountingExporter(SpanExporter):
    """Redacts spans, passes them to the real exporter and counts them; runs in the batch thread."""

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        metrics: Metrics,
        log: FilteringBoundLogger,
        pending: "PendingSpans",
        rejections: Rejections,
    ) -> None:
        self._exporter = exporter
        self._metrics = metrics
        self._log = log
        self._pending = pending
        self._rejections = rejections
        self._is_rejected = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch; count the spans of a failed batch, and rejected ones, as lost."""
        self._pending.take(len(spans))
        self._rejections.spans = 0
        try:
            result = self._exporter.export([redacted(span) for span in spans])
        except Exception:  # the SDK logs it and continues with the next batch
            self._metrics.spans_exported.add(len(spans), "export_failed")
            raise
        if result is not SpanExportResult.SUCCESS:
            self._metrics.spans_exported.add(len(spans), "export_failed")
            return result
        rejected = min(len(spans), self._rejections.spans)
        self._metrics.spans_exported.add(len(spans) - rejected, "")
        self._metrics.spans_exported.add(rejected, "rejected")
        if rejected and not self._is_rejected:
            self._log.warning("telemetry.spans_rejected", spans=rejected, reason=self._rejections.reason)
        self._is_rejected = bool(rejected)
        return result

    def shutdown(self) -> None:
        """Shut the real exporter down."""
        self._exporter.shutdown()


class PendingSpans:
    """Number of spans that wait for the exporter, with a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._lock = Lock()

    def put(self) -> bool:
        """Count one more span; return False when the queue is full."""
        with self._lock:
            if self._count >= self._limit:
                return False
            self._count += 1
            return True

    def take(self, count: int) -> None:
        """Count `count` spans fewer."""
        with self._lock:
            self._count -= count


class CountingBatchProcessor(BatchSpanProcessor):
    """The SDK's batch processor, with drops counted: the SDK itself drops spans silently when its queue is full."""

    def __init__(
        self, exporter: SpanExporter, *, metrics: Metrics, log: FilteringBoundLogger, rejections: Rejections
    ) -> None:
        # A request makes about 15 spans: the SDK's default of 2048 would hold 7 s of 20 requests a second.
        queue_size = int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE", "8192"))
        self._pending = PendingSpans(queue_size)
        self._metrics = metrics
        for error_type in ("", "queue_full"):
            metrics.spans_processed.add(0, error_type)
        for error_type in ("", "export_failed", "rejected"):
            metrics.spans_exported.add(0, error_type)
        counting = CountingExporter(exporter, metrics=metrics, log=log, pending=self._pending, rejections=rejections)
        super().__init__(counting, max_queue_size=queue_size)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span, or count it as dropped."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._pending.put():
            self._metrics.spans_processed.add(1, "")
            super().on_end(span)
        else:
            self._metrics.spans_processed.add(1, "queue_full")
