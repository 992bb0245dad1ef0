"""Admission control: a request is admitted or refused before work is spent on it, since a late refusal costs as much.

Without it every request is let in, each of them waits for the same processor and the same connections, all come too
late, and a server that is busy all the time answers nobody in time. A fixed number of requests at once is not enough
by itself: where handlers keep the processor busy the queue is one that nobody in Python sees, in gRPC's own threads.
So there are three questions here, and gRPC's limit on pending calls before them (see rpc/server.py):

- can it be done in the time that its caller still has? What the fastest lately took is the least that it takes;
- is there a place? So many may be at work as a few times the connections of the database, fewer for what can wait;
- does the loop keep up? When it wakes its sleepers late, only what ends something that was begun is let in.

Whoever waits for an answer from elsewhere gives its place back meanwhile: it uses nothing here, and a neighbour that is
slow must not keep the requests away that do not need it.

No clock of its own, no task, no lock: all of it runs on one event loop.

    with admission.enter("PlaceOrder", Priority.BEGIN, stage="grpc", remaining_seconds=1.5):    # or it raises
        ...
        with elsewhere():
            ... call a neighbour ...
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import IntEnum
from time import monotonic

from observability.telemetry.admission import AdmissionTelemetry
from services.kernel.errors import DeadlineExceeded, Overloaded

# One at its connection, one on its way from or to it.
PLACES_PER_CONNECTION = 2
# What waits elsewhere holds some memory, and nothing else that is scarce.
ELSEWHERE_PER_CONNECTION = 16
# A loop that is this late has more work than time; a garbage collection or a basket of 1,500 lines alone is not.
LATE_SECONDS = 0.1
RETRY_AFTER_SECONDS = 1.0
RECENT_SECONDS = 10.0
# Per operation: more would not tell the fastest any better.
MOST_RECENT = 64


class DeadlineTooShort(DeadlineExceeded):
    """The deadline is too short for this call, so it was not begun; an earlier one may have been."""


class Priority(IntEnum):
    """What is let in for longest: ending something that was begun gives back what it holds."""

    END = 0
    BEGIN = 1
    READ = 2
    LIST = 3


SHARES = {Priority.END: 1.0, Priority.BEGIN: 0.9, Priority.READ: 0.75, Priority.LIST: 0.5}


class Admission:
    """The door of one process, or of one context in it; `connections` is the size of its database's pool.

    `late_seconds` says how late the event loop is. `enabled=False` lets everything in, for who wants to see why not.
    """

    def __init__(
        self,
        *,
        connections: int,
        late_seconds: Callable[[], float],
        telemetry: AdmissionTelemetry,
        enabled: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.places = PLACES_PER_CONNECTION * connections
        self.places_elsewhere = ELSEWHERE_PER_CONNECTION * connections
        self.at_work = 0
        self.elsewhere = 0
        self._late_seconds = late_seconds
        self._telemetry = telemetry
        self._enabled = enabled
        self._clock = clock
        self._recent: dict[str, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=MOST_RECENT))
        telemetry.watch(
            at_work=lambda: self.at_work,
            elsewhere=lambda: self.elsewhere,
            places=self.places,
            places_elsewhere=self.places_elsewhere,
        )

    def enter(
        self, operation: str, priority: Priority, *, stage: str, remaining_seconds: float
    ) -> AbstractContextManager[None]:
        """Let a request in for the time of a block, or raise Overloaded or DeadlineTooShort: it is not begun then."""
        reason = self._refusal(operation, priority, remaining_seconds) if self._enabled else ""
        self._telemetry.decided(stage, reason or "admitted")
        if reason == "deadline":
            raise DeadlineTooShort
        if reason:
            raise Overloaded(RETRY_AFTER_SECONDS)
        return self._inside(operation)

    def fastest_seconds(self, operation: str) -> float:
        """Return what the fastest of an operation took lately, 0 when there was none."""
        oldest = self._clock() - RECENT_SECONDS
        return min((seconds for ended, seconds in self._recent[operation] if ended >= oldest), default=0.0)

    def _refusal(self, operation: str, priority: Priority, remaining_seconds: float) -> str:
        if remaining_seconds < self.fastest_seconds(operation):
            return "deadline"
        if self.at_work >= SHARES[priority] * self.places or self.elsewhere >= self.places_elsewhere:
            return "limit"
        if priority is not Priority.END and self._late_seconds() > LATE_SECONDS:
            return "loop_lag"
        return ""

    @contextmanager
    def _inside(self, operation: str) -> Iterator[None]:
        began = self._clock()
        self.at_work += 1
        token = _entered.set(self)
        try:
            yield
            now = self._clock()
            self._recent[operation].append((now, now - began))
        finally:
            _entered.reset(token)
            self.at_work -= 1

    @contextmanager
    def give_back(self) -> Iterator[None]:
        """Give a place back for the time of a block; it is taken again at the end, whether there is one or not."""
        self.at_work -= 1
        self.elsewhere += 1
        try:
            yield
        finally:
            self.elsewhere -= 1
            self.at_work += 1


_entered: ContextVar[Admission | None] = ContextVar("admission", default=None)


@contextmanager
def elsewhere() -> Iterator[None]:
    """Wait for an answer from another process; what was not admitted by anyone has no place to give back."""
    admission = _entered.get()
    if admission is None:
        yield
        return
    token = _entered.set(None)  # what is called in the block, in this process, has nothing to give back a second time
    try:
        with admission.give_back():
            yield
    finally:
        _entered.reset(token)
