"""Admission control: admit or reject a request before work is spent on it.

Without it every request is admitted. All of them wait for the same processor and the same connections, all miss their
deadlines, and a server that is busy all the time answers none of them in time. A fixed limit on concurrent requests is
not enough: where handlers keep the processor busy, the queue builds up in gRPC's own threads, which Python does not
see. So there are three checks here, and gRPC's limit on pending calls before them (see rpc/server.py):

- deadline: a request is rejected if its caller has less time left than the fastest recent request took;
- limit: the number of active requests is limited to a multiple of the database connections, and to less for requests
  of lower priority;
- loop lag: while the event loop wakes its sleepers late, only requests that complete something begun are admitted.

A request that waits for another service releases its slot meanwhile: it uses nothing here, and a slow service must not
block the requests that do not need it.

No clock of its own, no task, no lock: all of it runs on one event loop.

    with admission.admit("PlaceOrder", Priority.BEGIN, stage="grpc", remaining_seconds=1.5):    # or it raises
        ...
        with waiting_downstream():
            ... call another service ...
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import IntEnum
from time import monotonic

from observability.telemetry.admission import AdmissionTelemetry
from observability.telemetry.setup import Runtime
from services.kernel.errors import DeadlineExceeded, Overloaded

# One that uses the connection, and one on its way to it or from it.
SLOTS_PER_CONNECTION = 2
# A request that waits downstream holds some memory, and nothing else that is scarce.
WAITING_PER_CONNECTION = 16
# More lag than this is overload; a garbage collection or a basket of 1,500 lines alone causes less.
LATE_SECONDS = 0.1
RETRY_AFTER_SECONDS = 1.0
RECENT_SECONDS = 10.0
# Samples kept per operation: more would not make the minimum any better.
MOST_RECENT = 64


class DeadlineTooShort(DeadlineExceeded):
    """The deadline is too short for this call, so it was not begun; an earlier attempt may have been."""


class Priority(IntEnum):
    """Order in which requests are rejected as load grows: the highest number first."""

    # Completes or cancels something that was begun, and so frees what that holds.
    END = 0
    # Begins something new.
    BEGIN = 1
    # Reads one thing.
    READ = 2
    # Reads many things.
    LIST = 3


# The share of the slots up to which a request of each priority is admitted.
SHARES = {Priority.END: 1.0, Priority.BEGIN: 0.9, Priority.READ: 0.75, Priority.LIST: 0.5}


def open_admission(runtime: Runtime, context: str, *, connections: int, enabled: bool) -> "AdmissionController":
    """Return the admission controller of a context, which watches the lag of the process's event loop."""
    return AdmissionController(
        connections=connections,
        late_seconds=runtime.loop_lag.seconds,
        telemetry=AdmissionTelemetry(runtime.for_context(context)),
        enabled=enabled,
    )


class AdmissionController:
    """Admission controller of one process, or of one context in it.

    connections: size of the database pool; the slots are a multiple of it
    late_seconds: returns the current lag of the event loop
    enabled: False admits everything, to show what happens without admission control
    clock: monotonic time in seconds

    The attributes `active` and `waiting` count the admitted requests that hold a slot, and those that have released
    theirs while they wait for another service; `slots` and `waiting_limit` are their limits.
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
        self.slots = SLOTS_PER_CONNECTION * connections
        self.waiting_limit = WAITING_PER_CONNECTION * connections
        self.active = 0
        self.waiting = 0
        self._late_seconds = late_seconds
        self._telemetry = telemetry
        self._enabled = enabled
        self._clock = clock
        self._recent: dict[str, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=MOST_RECENT))
        telemetry.watch(
            active=lambda: self.active,
            waiting=lambda: self.waiting,
            slots=self.slots,
            waiting_limit=self.waiting_limit,
        )

    def admit(
        self, operation: str, priority: Priority, *, stage: str, remaining_seconds: float
    ) -> AbstractContextManager[None]:
        """Return a context that holds a slot for the request.

        Raises Overloaded or DeadlineTooShort when the request is rejected; it has not been begun then.
        """
        reason = self._rejection(operation, priority, remaining_seconds) if self._enabled else ""
        self._telemetry.decided(stage, reason or "admitted")
        if reason == "deadline":
            raise DeadlineTooShort
        if reason:
            raise Overloaded(RETRY_AFTER_SECONDS)
        return self._slot(operation)

    def fastest_seconds(self, operation: str) -> float:
        """Return the shortest recent duration of an operation, 0 when there is none."""
        oldest = self._clock() - RECENT_SECONDS
        return min((seconds for ended, seconds in self._recent[operation] if ended >= oldest), default=0.0)

    def _rejection(self, operation: str, priority: Priority, remaining_seconds: float) -> str:
        """Return the reason to reject a request, "" to admit it."""
        if remaining_seconds < self.fastest_seconds(operation):
            return "deadline"
        if self.active >= SHARES[priority] * self.slots or self.waiting >= self.waiting_limit:
            return "limit"
        if priority is not Priority.END and self._late_seconds() > LATE_SECONDS:
            return "loop_lag"
        return ""

    @contextmanager
    def _slot(self, operation: str) -> Iterator[None]:
        began = self._clock()
        self.active += 1
        token = _admitted_by.set(self)
        try:
            yield
            now = self._clock()
            self._recent[operation].append((now, now - began))
        finally:
            _admitted_by.reset(token)
            self.active -= 1

    @contextmanager
    def release(self) -> Iterator[None]:
        """Release a slot during a with block, and take it again at its end, even when none is free by then."""
        self.active -= 1
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
            self.active += 1


_admitted_by: ContextVar[AdmissionController | None] = ContextVar("admission", default=None)


@contextmanager
def waiting_downstream() -> Iterator[None]:
    """Release the slot of the current request while the with block waits for another process.

    Does nothing outside a request, which has no slot.
    """
    admission = _admitted_by.get()
    if admission is None:
        yield
        return
    token = _admitted_by.set(None)  # a nested block must not release the slot a second time
    try:
        with admission.release():
            yield
    finally:
        _admitted_by.reset(token)
