"""Telemetry of a database: a span for each logical statement, and the wait for connections of the pool."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from observability.telemetry.telemetry import Telemetry


@dataclass(slots=True)
class Statement:
    """A running statement.

    telemetry: instruments of its context.
    pool: name of the connection pool.
    span: its span.
    waited_seconds: part of its time that was the wait for a connection.
    """

    telemetry: Telemetry
    pool: str
    span: Span
    waited_seconds: float = 0.0

    def acquired(self, waited_seconds: float) -> None:
        """Record the wait for a connection before this statement."""
        self.waited_seconds = waited_seconds
        self.span.set_attribute("db.client.connection.wait_time", waited_seconds)
        wait_time = self.telemetry.metrics.db_client_connection_wait_time
        wait_time.observe(waited_seconds, self.telemetry.context, self.pool)

    def returned(self, rows: int) -> None:
        """Record the number of rows."""
        self.span.set_attribute("db.response.returned_rows", rows)


@dataclass(frozen=True, slots=True)
class DatabaseTelemetry:
    """Telemetry of one database.

    telemetry: instruments of the context.
    pool: name of the connection pool, from code.
    namespace: name of the database.
    address: address of its server.
    port: port of its server.
    """

    telemetry: Telemetry
    pool: str
    namespace: str
    address: str
    port: int

    @contextmanager
    def statement(self, summary: str) -> Iterator[Statement]:
        """Observe one logical statement by its summary, as `SELECT items`; its duration excludes the wait.

        Outside a trace, as at start-up or in a probe, there is no span, so that probes make no traces.
        """
        started, error_type = perf_counter(), ""
        with self._span(summary) as span:
            statement = Statement(self.telemetry, self.pool, span)
            try:
                yield statement
            except BaseException as error:  # a cancelled statement is recorded, too
                error_type = type(error).__name__
                span.set_attribute("error.type", error_type)
                span.set_status(Status(StatusCode.ERROR))
                raise
            finally:
                seconds = perf_counter() - started - statement.waited_seconds
                duration = self.telemetry.metrics.db_client_operation_duration
                duration.observe(seconds, self.telemetry.context, summary, error_type)

    @contextmanager
    def connection_in_use(self) -> Iterator[None]:
        """Observe how long a connection is held."""
        started = perf_counter()
        try:
            yield
        finally:
            seconds = perf_counter() - started
            self.telemetry.metrics.db_client_connection_use_time.observe(seconds, self.telemetry.context, self.pool)

    @contextmanager
    def connection_pending(self) -> Iterator[None]:
        """Count a caller as waiting for a connection."""
        pending = self.telemetry.metrics.db_client_connection_pending_requests
        pending.add(1, self.telemetry.context, self.pool)
        try:
            yield
        finally:
            pending.add(-1, self.telemetry.context, self.pool)

    def connection_timed_out(self) -> None:
        """Count a wait for a connection that timed out."""
        self.telemetry.metrics.db_client_connection_timeouts.add(1, self.telemetry.context, self.pool)

    def watch_pool(self, *, size: Callable[[], int], idle: Callable[[], int], limit: Callable[[], int]) -> None:
        """Publish the pool's connections by state, and its limit, read at each scrape."""
        metrics, labels = self.telemetry.metrics, (self.telemetry.context, self.pool)
        metrics.db_client_connection_timeouts.add(0, *labels)
        metrics.db_client_connection_wait_time.child(*labels)
        metrics.db_client_connection_max.read_from(limit, *labels)
        metrics.db_client_connection_count.read_from(idle, *labels, "idle")
        metrics.db_client_connection_count.read_from(lambda: size() - idle(), *labels, "used")

    @contextmanager
    def _span(self, summary: str) -> Iterator[Span]:
        if not trace.get_current_span().get_span_context().is_valid:
            yield trace.INVALID_SPAN
            return
        attributes: dict[str, str | int] = {
            "db.system.name": "postgresql",
            "db.namespace": self.namespace,
            "db.operation.name": summary.split(" ", 1)[0],
            "db.query.summary": summary,
            "server.address": self.address,
            "server.port": self.port,
            "shop.context": self.telemetry.context,
        }
        with self.telemetry.tracer.start_as_current_span(
            summary, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span
