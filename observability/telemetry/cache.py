"""Telemetry of a cache: look-ups by result, commands to its server, and reads of the source."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from observability.telemetry.telemetry import Telemetry

RESULTS = ("hit", "miss", "shared", "unavailable")


@dataclass(slots=True)
class LookUp:
    """A running request for some keys."""

    telemetry: Telemetry
    cache: str
    span: Span

    def shared(self, keys: int) -> None:
        """Record how many of the keys another request was fetching already."""
        self.span.set_attribute("shop.cache.shared", keys)
        self.telemetry.metrics.cache_lookups.add(keys, self.telemetry.context, self.cache, "shared")


class CacheTelemetry:
    """Telemetry of one cache; `cache` is a name from code for its content."""

    def __init__(self, telemetry: Telemetry, cache: str) -> None:
        self._telemetry = telemetry
        self.cache = cache
        self._labels = (telemetry.context, cache)

    def begin_at_zero(self) -> None:
        """Start all series at 0: a series that starts at 1 has no rate."""
        for result in RESULTS:
            self._telemetry.metrics.cache_lookups.add(0, *self._labels, result)
        self._telemetry.metrics.cache_source_duration.child(*self._labels)

    @contextmanager
    def look_up(self) -> Iterator[LookUp]:
        """Observe a request for some keys. Its span also covers the wait for keys that another request fetches."""
        attributes = {"shop.context": self._telemetry.context}
        with self._telemetry.tracer.start_as_current_span(
            f"{self.cache} cache", attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            yield LookUp(self._telemetry, self.cache, span)

    def looked_up(self, *, hits: int, misses: int) -> None:
        """Count the keys that were found, and those that were not."""
        self._telemetry.metrics.cache_lookups.add(hits, *self._labels, "hit")
        self._telemetry.metrics.cache_lookups.add(misses, *self._labels, "miss")

    def unavailable(self, keys: int) -> None:
        """Count keys that could not be looked up, since the server is unavailable, slow, or its breaker is open."""
        self._telemetry.metrics.cache_lookups.add(keys, *self._labels, "unavailable")

    def changed(self, before: str, after: str) -> None:
        """Log a change of the breaker in front of the cache's server."""
        event = f"{self._telemetry.context}.cache_changed"
        self._telemetry.log.warning(event, cache=self.cache, before=before, after=after)

    @contextmanager
    def command(self, operation: str, *, keys: int, address: str, port: int) -> Iterator[Span]:
        """Observe one command, or a batch of one kind; the caller sets `db.response.returned_rows`."""
        started, error_type = perf_counter(), ""
        summary = f"{operation} {self.cache}"
        attributes: dict[str, str | int] = {
            "db.system.name": "valkey",
            "db.operation.name": operation,
            "db.operation.batch.size": keys,
            "db.query.summary": summary,
            "server.address": address,
            "server.port": port,
            "shop.context": self._telemetry.context,
        }
        with self._telemetry.tracer.start_as_current_span(
            summary, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:  # a cancelled command is recorded, too
                error_type = type(error).__name__
                span.set_attribute("error.type", error_type)
                span.set_status(Status(StatusCode.ERROR))
                raise
            finally:
                duration = self._telemetry.metrics.cache_operation_duration
                duration.observe(perf_counter() - started, *self._labels, operation, error_type)

    @contextmanager
    def reading_source(self) -> Iterator[None]:
        """Observe one read of the source, also one that fails."""
        started = perf_counter()
        try:
            yield
        finally:
            self._telemetry.metrics.cache_source_duration.observe(perf_counter() - started, *self._labels)
