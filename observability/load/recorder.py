"""Recorder of a run: its clock, a record of each order, and the stop signal; shared by both loops."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from observability.load.client import LoadClient
from observability.load.options import Progress
from observability.load.orders import PlannedOrder
from observability.load.outcomes import Exchange, OutcomeKind, classify

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One order that was sent; times are in seconds from the start of the run.

    index: its position in the plan.
    intended_seconds: when it was due.
    sent_seconds: when it was sent.
    done_seconds: when it was answered, or given up.
    outcome: how it ended.
    reason: why it was no success; empty for a success.
    status: HTTP status; None without an answer.
    lines: number of its lines.
    order_id: id of the stored order, if there is one.
    """

    index: int
    intended_seconds: float
    sent_seconds: float
    done_seconds: float
    outcome: OutcomeKind
    reason: str
    status: int | None
    lines: int
    order_id: str | None

    @property
    def latency_seconds(self) -> float:
        """Seconds from when the order was due, so that a late send counts as latency."""
        return self.done_seconds - self.intended_seconds


class Run:
    """The state of a run on its event loop: clock, records, counts, and the stop signal."""

    def __init__(self, *, plan: Sequence[PlannedOrder], client: LoadClient, on_progress: OnProgress | None) -> None:
        self.plan = plan
        self.records: list[RequestRecord] = []
        self.sent = 0
        self.peak_in_flight = 0
        self.idle_yield_seconds = 0.0
        self.stop_signal: int | None = None
        self.failure: Exception | None = None
        self.stop = asyncio.Event()
        self.started_at_unix_seconds = time.time()
        self._started = time.perf_counter()
        self._client = client
        self._on_progress = on_progress

    def now_seconds(self) -> float:
        """Return the seconds since the start of the run."""
        return time.perf_counter() - self._started

    def report_progress(self) -> None:
        """Pass the progress to the callback, if there is one."""
        if self._on_progress is not None:
            self._on_progress(Progress(len(self.plan), self.sent, len(self.records), self.now_seconds()))

    async def place(self, order: PlannedOrder, *, due_now: bool = False) -> None:
        """Send one order and record its outcome; with `due_now` it is due when it is sent (closed loop)."""
        sent = self.now_seconds()
        self.sent += 1
        self.peak_in_flight = max(self.peak_in_flight, self.sent - len(self.records))
        intended = sent if due_now else order.intended_seconds
        try:
            exchange = await self._client.place(order)
        except asyncio.CancelledError:
            self._record(order, intended, sent, Exchange(failure="INTERRUPTED"))
            raise
        self._record(order, intended, sent, exchange)

    def _record(self, order: PlannedOrder, intended: float, sent: float, exchange: Exchange) -> None:
        done = self.now_seconds()
        outcome = classify(exchange)
        self.records.append(
            RequestRecord(
                index=order.index,
                intended_seconds=intended,
                sent_seconds=sent,
                done_seconds=done,
                outcome=outcome.kind,
                reason=outcome.reason,
                status=exchange.status,
                lines=len(order.lines),
                order_id=outcome.order_id,
            )
        )

    def note_failure(self, failure: BaseException | None) -> None:
        """Stop the run after an unexpected exception, which is a bug here; it is raised when the run ends."""
        if isinstance(failure, Exception):
            self.failure = failure
            self.stop.set()

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM stop the run instead of the process; has no effect outside the main thread."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        for number in signals:
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        self.stop_signal = number
        self.stop.set()
