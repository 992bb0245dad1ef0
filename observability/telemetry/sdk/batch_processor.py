"""A processor that queues ended spans, up to a limit, and exports them in batches in a thread of its own."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from threading import Event, Thread
from typing import Protocol

from opentelemetry.instrumentation.utils import suppress_instrumentation

from observability.telemetry.sdk.fork import call_in_children
from observability.telemetry.sdk.span import RecordingSpan

LOG = getLogger(__name__)


class ExportFailed(Exception):
    """The spans of a batch were not exported; the message says why."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A batch that the endpoint accepted: the number of its spans that were rejected all the same, and the reason."""

    rejected: int = 0
    reason: str = ""


class BatchExporter(Protocol):
    """Exports batches; all methods but `shutdown` are called by one thread."""

    def export(self, spans: Sequence[RecordingSpan], *, timeout_seconds: float) -> Exported:
        """Export a batch within the time limit. Raises ExportFailed."""

    def shutdown(self) -> None:
        """End a running export early, and close the connection."""


class SpanCounts(Protocol):
    """Counts spans by what becomes of them."""

    def queued(self) -> None:
        """Count a span that waits for its export."""

    def dropped(self) -> None:
        """Count a span that found the queue full."""

    def exported(self, spans: int, outcome: Exported) -> None:
        """Count the spans of an exported batch."""

    def failed(self, spans: int, error: Exception) -> None:
        """Count the spans of a batch that was not exported."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Options of the processor.

    queue_size: most spans that wait; further ones are dropped.
    batch_size: most spans of one export.
    delay_seconds: time between exports while there is less than a batch.
    timeout_seconds: most time for one export.
    """

    queue_size: int = 8_192
    batch_size: int = 512
    delay_seconds: float = 5.0
    timeout_seconds: float = 30.0


def read_batch_options(environ: Mapping[str, str]) -> BatchOptions:
    """Return the options that the variables OTEL_BSP_* set."""
    default = BatchOptions()
    queue_size = int(environ.get("OTEL_BSP_MAX_QUEUE_SIZE", default.queue_size))
    timeout_millis = float(environ.get("OTEL_BSP_EXPORT_TIMEOUT", default.timeout_seconds * 1_000))
    return BatchOptions(
        queue_size=queue_size,
        batch_size=min(queue_size, int(environ.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", default.batch_size))),
        delay_seconds=float(environ.get("OTEL_BSP_SCHEDULE_DELAY", default.delay_seconds * 1_000)) / 1_000,
        timeout_seconds=timeout_millis / 1_000 or math.inf,
    )


class BatchProcessor:
    """Queues ended spans; its thread exports them. A forked child starts with an empty queue and its own thread.

    `on_end` takes no lock: a garbage collection may end a span while another one is queued by the same thread.
    """

    def __init__(self, exporter: BatchExporter, *, counts: SpanCounts, options: BatchOptions) -> None:
        self._exporter = exporter
        self._counts = counts
        self._options = options
        self._is_closed = False
        self._begin()
        call_in_children(self._begin)

    def on_end(self, span: RecordingSpan, /) -> None:
        """Queue a span, or count it as dropped."""
        waiting = len(self._queue)
        if waiting >= self._options.queue_size or self._is_closed:
            self._counts.dropped()
            return
        self._queue.append(span)
        self._counts.queued()
        if waiting + 1 >= self._options.batch_size:
            self._wake.set()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export the queued spans; return whether that was done in time. After a shutdown nothing is exported."""
        if self._is_closed:
            return False
        done = Event()
        self._flushes.append(done)
        self._wake.set()
        return done.wait(timeout_millis / 1_000)

    def shutdown(self, timeout_millis: int = 30_000) -> bool:
        """Take no more spans and export the queued ones; return whether that was done in time."""
        self._is_closed = True
        self._wake.set()
        self._thread.join(timeout_millis / 1_000)
        self._exporter.shutdown()
        return not self._thread.is_alive()

    def _begin(self) -> None:
        self._queue: deque[RecordingSpan] = deque()
        self._flushes: deque[Event] = deque()
        self._wake = Event()
        self._thread = Thread(target=self._run, name="telemetry-export", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress_instrumentation():
            while not self._is_closed:
                is_early = self._wake.wait(self._options.delay_seconds)
                self._wake.clear()
                self._export(is_early=is_early)
            self._export(is_early=False)

    def _export(self, *, is_early: bool) -> None:
        """Export what is queued now; if woken early, only full batches, unless a flush asks for all."""
        flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
        least = self._options.batch_size if is_early and not flushes and not self._is_closed else 1
        left = len(self._queue)
        while left >= least:
            batch = [self._queue.popleft() for _ in range(min(left, self._options.batch_size))]
            left -= len(batch)
            self._export_batch(batch)
        for done in flushes:
            done.set()

    def _export_batch(self, batch: Sequence[RecordingSpan]) -> None:
        try:
            outcome = self._exporter.export(batch, timeout_seconds=self._options.timeout_seconds)
        except ExportFailed as error:
            self._counts.failed(len(batch), error)
        except Exception as error:
            LOG.exception("Exporting spans failed.")  # a fault of an exporter, which must not end the thread
            self._counts.failed(len(batch), error)
        else:
            self._counts.exported(len(batch), outcome)
