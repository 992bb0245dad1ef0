"""Metrics of the receiver, on a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


class Counts:
    """Counters of one receiver, rendered as Prometheus text."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "receiver_requests", "Export requests by the status of the response.", ("status",), registry=self._registry
        )
        self.refusals = Counter(
            "receiver_refusals",
            "Requests and connections refused because of a limit, by reason.",
            ("reason",),
            registry=self._registry,
        )
        self.spans = Counter("receiver_spans_written", "Spans written to files.", registry=self._registry)
        self.bytes = Counter("receiver_written_bytes", "Bytes of OTLP/JSON written.", registry=self._registry)
        self.forwarded_spans = Counter(
            "receiver_forwarded_spans",
            "Spans for the second endpoint, by outcome: sent, rejected, failed or queue_full.",
            ("outcome",),
            registry=self._registry,
        )
        self.log_lines_dropped = Counter(
            "receiver_log_lines_dropped",
            "Log lines dropped because an output was too slow or failed.",
            ("output",),
            registry=self._registry,
        )
        self.removed_files = Counter(
            "receiver_removed_files", "Rotated files removed because of the limit.", registry=self._registry
        )

    def count_dropped_log_lines(self, lines: int, output: str) -> None:
        """Count log lines that an output lost; 0 creates the series."""
        self.log_lines_dropped.labels(output).inc(lines)

    def render(self) -> bytes:
        """Render all counters as Prometheus text."""
        return generate_latest(self._registry)
