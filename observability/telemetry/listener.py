"""Telemetry of an HTTP listener: open connections, and refused requests and connections."""

from collections.abc import Callable

from observability.telemetry.metrics import Metrics

# All reasons of refusals by a listener.
REASONS = (
    "ANSWER_UNREAD",
    "BAD_REQUEST",
    "BODY_TOO_LARGE",
    "BODY_TOO_SLOW",
    "HEAD_TOO_LARGE",
    "HEAD_TOO_SLOW",
    "INVALID_HOST",
    "TOO_MANY_BODIES",
    "TOO_MANY_CONNECTIONS",
)


class ListenerTelemetry:
    """Telemetry of one listener, named as in the ready file: http or admin."""

    def __init__(self, metrics: Metrics, listener: str) -> None:
        self._metrics = metrics
        self._listener = listener
        for reason in REASONS:
            metrics.http_refusals.add(0, listener, reason)

    def watch(self, open_count: Callable[[], int]) -> None:
        """Publish the number of open connections, read at each scrape."""
        self._metrics.http_connections.read_from(lambda: float(open_count()), self._listener)

    def refused(self, reason: str) -> None:
        """Count a request or a connection that was refused because of a limit."""
        self._metrics.http_refusals.add(1, self._listener, reason)
