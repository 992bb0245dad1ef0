"""Rebuild of the lists of orders from the beginning of the event logs, in batches, resumable after an interruption."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from services.infra.messaging.consumer import Cursor
from services.infra.messaging.dead_letters import DeadLetters
from services.infra.messaging.log import EventLog
from services.infra.messaging.message import Message, ReceivedMessage
from services.infra.postgres import Database
from services.infra.postgres_errors import LockTimeout, TransactionAborted
from services.kernel.errors import ServiceError
from services.order.adapters.summaries import project
from services.order.adapters.summaries_rebuild import REBUILD, NotYet, SummariesRebuild, Swap
from services.order.api import EventNotUnderstood, OrderSnapshot
from services.order.consumers.order_summaries import CONSUMER, snapshot_of

BATCH_SIZE = 1_000
# How long the rebuild waits for a log that is being republished, or for a busy table, and how often it polls the log.
WAIT_LIMIT_SECONDS = 10.0
POLL_SECONDS = 0.5

# Called with the position that the rebuild has reached, and the last position, each the sum over all logs.
Progress = Callable[[int, int], None]


class LogIncomplete(Exception):
    """The log lacks events that the live list already shows, and did not receive them within the time limit."""

    def __init__(self, orders_behind: int) -> None:
        super().__init__(orders_behind)
        self.orders_behind = orders_behind


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Result of a rebuild.

    swap: what the swap changed.
    events_read: events read from the log.
    resumed_after: position that an interrupted rebuild had reached; 0 without one.
    """

    swap: Swap
    events_read: int
    resumed_after: int


class Rebuild:
    """One rebuild; the caller holds the lock `summaries_rebuild.alone`."""

    def __init__(
        self, *, database: Database, logs: Sequence[EventLog], progress: Progress, batch_size: int = BATCH_SIZE
    ) -> None:
        self._database = database
        self._summaries = SummariesRebuild(database=database, consumer=CONSUMER)
        self._dead_letters = DeadLetters(REBUILD, database=database)
        self._logs = logs
        self._progress = progress
        self._batch_size = batch_size
        self._cursors = [Cursor("", 0) for _ in logs]
        self._heads = [0 for _ in logs]
        self._resumed_after = 0
        self._events_read = 0

    async def run(self, *, anew: bool = False, force: bool = False) -> Rebuilt:
        """Read each log to its end and swap. Raises LogIncomplete, RebuildRunning and the kernel's errors.

        `anew` discards an interrupted rebuild; `force` swaps even if a log lacks events that the list shows.
        """
        if not anew and (stored := await self._summaries.cursors(len(self._logs))):
            self._cursors, self._resumed_after = stored, sum(cursor.position for cursor in stored)
        waiting_since: float | None = None
        while True:
            wait_seconds = 0.0 if waiting_since is None else POLL_SECONDS
            # A restart of the rebuild during one log also reset the logs that were read before it.
            while not all([await self._read_to_end(log, wait_seconds) for log in range(len(self._logs))]):
                pass
            try:
                swap = await self._summaries.swap(self._cursors, force=force)
                return Rebuilt(swap, self._events_read, self._resumed_after)
            except (NotYet, LockTimeout, TransactionAborted) as obstacle:
                waiting_since = waiting_since or monotonic()
                if monotonic() - waiting_since > WAIT_LIMIT_SECONDS:
                    raise _final_error(obstacle) from obstacle

    async def _read_to_end(self, log: int, wait_seconds: float) -> bool:
        """Read a log until nothing is left; the first read waits `wait_seconds` for an event.

        Return False when the rebuild had to begin anew, since the log is another one by now.
        """
        while True:
            cursor = self._cursors[log]
            batch = await self._logs[log].read(after=cursor.position, limit=self._batch_size, wait_seconds=wait_seconds)
            if batch.state.incarnation != cursor.incarnation or batch.state.head < cursor.position:
                await self._begin(log, batch.state.incarnation)
                return False
            if batch.deliveries:
                await self._apply(log, batch.deliveries)
            self._heads[log] = batch.state.head
            self._progress(sum(each.position for each in self._cursors), sum(self._heads))
            if self._cursors[log].position >= batch.state.head:
                return True

    async def _begin(self, log: int, incarnation: str) -> None:
        """Begin anew, in all logs; one of them was just read."""
        incarnations = [
            incarnation if number == log else (await other.state()).incarnation
            for number, other in enumerate(self._logs)
        ]
        self._cursors = await self._summaries.begin(incarnations)
        self._resumed_after, self._events_read = 0, 0

    async def _apply(self, log: int, deliveries: Sequence[ReceivedMessage]) -> None:
        """Apply one batch. A bad event is parked, and so are the later ones of its order."""
        messages = [delivery.message for delivery in deliveries]
        async with self._database.transaction("rebuild.take") as transaction:
            moved = await self._summaries.move(transaction, log, self._cursors[log], deliveries[-1].position)
            blocked = await self._dead_letters.blocked(transaction, {message.aggregate_id for message in messages})
            snapshots, poison = decode(deliveries, blocked)
            for message, reason in poison:
                await self._dead_letters.park(transaction, message, reason=reason)
            await project(transaction, snapshots, table=REBUILD)
        self._cursors[log] = moved
        self._events_read += len(deliveries)


def decode(
    deliveries: Sequence[ReceivedMessage], blocked: AbstractSet[UUID]
) -> tuple[list[OrderSnapshot], list[tuple[Message, str]]]:
    """Return the snapshots, and the messages to park with the reason; `blocked` aggregates have parked ones already."""
    snapshots: list[OrderSnapshot] = []
    poison: list[tuple[Message, str]] = []
    blocked = set(blocked)
    for delivery in deliveries:
        message = delivery.message
        if delivery.fault is not None:
            poison.append((message, delivery.fault))
            continue
        if message.aggregate_id in blocked:
            poison.append((message, "BEHIND_ANOTHER"))
            continue
        try:
            snapshots.append(snapshot_of(message))
        except EventNotUnderstood as error:
            blocked.add(message.aggregate_id)
            poison.append((message, error.reason))
    return snapshots, poison


def _final_error(obstacle: NotYet | ServiceError) -> Exception:
    """Return the error that ends the rebuild when the obstacle has outlasted the time limit."""
    return LogIncomplete(obstacle.orders_behind) if isinstance(obstacle, NotYet) else obstacle
