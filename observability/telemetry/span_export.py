"""Export of spans in batches, with attributes from an allow-list; lost spans are counted."""

import os
from typing import IO

from structlog.typing import FilteringBoundLogger

from observability.telemetry.environment import protocol_of
from observability.telemetry.metrics import Metrics
from observability.telemetry.sdk.batch_processor import BatchExporter, BatchProcessor, Exported, read_batch_options
from observability.telemetry.sdk.otlp_http import OtlpHttpExporter, read_endpoint
from observability.telemetry.sdk.stock import StockExporter
from observability.telemetry.spans import ALLOWED_ATTRIBUTES, Rejections, make_exporter, redacted


def make_processor(*, metrics: Metrics, log: FilteringBoundLogger, console: IO[str]) -> BatchProcessor | None:
    """Return the processor that exports as OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_* and OTEL_BSP_* say.

    None where spans are not exported; "console" writes one line for each span.
    """
    exporter = _make_exporter(console)
    if exporter is None:
        return None
    return BatchProcessor(exporter, counts=CountedSpans(metrics, log), options=read_batch_options(os.environ))


def _make_exporter(console: IO[str]) -> BatchExporter | None:
    is_disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    is_otlp = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").lower() == "otlp"
    if is_otlp and not is_disabled and protocol_of(os.environ) != "grpc":
        return OtlpHttpExporter(read_endpoint(os.environ), allowed=ALLOWED_ATTRIBUTES)
    rejections = Rejections()
    if stock := make_exporter(rejections, console=console):
        return StockExporter(stock, change=redacted, outcome=lambda: Exported(*rejections.take()))
    return None


class CountedSpans:
    """Counts spans in the metrics, and logs when exports begin to fail or to be rejected."""

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger) -> None:
        processed, self._exported = metrics.spans_processed, metrics.spans_exported
        self.queued = processed.child("").inc
        self.dropped = processed.child("queue_full").inc
        for error_type in ("", "export_failed", "rejected"):
            self._exported.add(0, error_type)
        self._log = log
        self._trouble = ""

    def exported(self, spans: int, outcome: Exported) -> None:
        """Count the spans of an exported batch."""
        rejected = min(spans, outcome.rejected)
        self._exported.add(spans - rejected, "")
        self._exported.add(rejected, "rejected")
        if rejected and self._trouble != "rejected":
            self._log.warning("telemetry.spans_rejected", spans=rejected, reason=outcome.reason)
        self._trouble = "rejected" if rejected else ""

    def failed(self, spans: int, error: Exception) -> None:
        """Count the spans of a batch that was not exported."""
        self._exported.add(spans, "export_failed")
        if self._trouble != "failed":
            self._log.error("telemetry.export_failed", spans=spans, reason=str(error))
        self._trouble = "failed"
