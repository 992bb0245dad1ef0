"""Rebuild of the list of orders from the log's beginning, in batches; after an interruption it goes on."""

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
# A log that is being filled again, or a busy table, is waited for this long, with a look at the log this often.
PATIENCE_SECONDS = 10.0
LOOK_SECONDS = 0.5

# Told how far the rebuild is: the log's position it has reached, and the last one.
Progress = Callable[[int, int], None]


class LogIncomplete(Exception):
    """The log does not hold everything that the list says, and did not come to hold it for a while."""

    def __init__(self, orders_behind: int) -> None:
        super().__init__(orders_behind)
        self.orders_behind = orders_behind


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How a rebuild ended; `resumed_after` is the position that an interrupted one had reached, 0 for none."""

    swap: Swap
    events_read: int
    resumed_after: int


class Rebuild:
    """One rebuild at a time: whoever runs it holds `summaries_rebuild.alone`."""

    def __init__(self, *, database: Database, log: EventLog, progress: Progress, batch_size: int = BATCH_SIZE) -> None:
        self._database = database
        self._beside = SummariesRebuild(database=database, consumer=CONSUMER)
        self._dead_letters = DeadLetters(REBUILD, database=database)
        self._log = log
        self._progress = progress
        self._batch_size = batch_size
        self._cursor = Cursor("", 0)
        self._resumed_after = 0
        self._events_read = 0

    async def run(self, *, anew: bool = False, force: bool = False) -> Rebuilt:
        """Read the log to its end and swap. Raises LogIncomplete, RebuildRunning and the kernel's errors.

        `anew` forgets an interrupted rebuild; `force` swaps even if the log does not hold all that the list says.
        """
        if not anew and (kept := await self._beside.cursor()):
            self._cursor, self._resumed_after = kept, kept.position
        waiting_since: float | None = None
        while True:
            await self._read_to_end(0.0 if waiting_since is None else LOOK_SECONDS)
            try:
                swap = await self._beside.swap(self._cursor, force=force)
                return Rebuilt(swap, self._events_read, self._resumed_after)
            except (NotYet, LockTimeout, TransactionAborted) as obstacle:
                waiting_since = waiting_since or monotonic()
                if monotonic() - waiting_since > PATIENCE_SECONDS:
                    raise given_up(obstacle) from obstacle

    async def _read_to_end(self, wait_seconds: float) -> None:
        """Read until nothing is left; wait a while for something at first."""
        while True:
            batch = await self._log.read(after=self._cursor.position, limit=self._batch_size, wait_seconds=wait_seconds)
            if batch.state.incarnation != self._cursor.incarnation or batch.state.head < self._cursor.position:
                self._cursor = await self._beside.begin(batch.state.incarnation)
                self._resumed_after, self._events_read = 0, 0
                continue
            if batch.deliveries:
                await self._take(batch.deliveries)
            self._progress(self._cursor.position, batch.state.head)
            if self._cursor.position >= batch.state.head:
                return

    async def _take(self, deliveries: Sequence[ReceivedMessage]) -> None:
        """Take one batch. What is not understood is set aside, and so is what follows it in its aggregate."""
        messages = [delivery.message for delivery in deliveries]
        async with self._database.transaction("rebuild.take") as transaction:
            moved = await self._beside.move(transaction, self._cursor, deliveries[-1].position)
            blocked = await self._dead_letters.blocked(transaction, {message.aggregate_id for message in messages})
            snapshots, poison = understand(deliveries, blocked)
            for message, reason in poison:
                await self._dead_letters.park(transaction, message, reason=reason)
            await project(transaction, snapshots, table=REBUILD)
        self._cursor = moved
        self._events_read += len(deliveries)


def understand(
    deliveries: Sequence[ReceivedMessage], blocked: AbstractSet[UUID]
) -> tuple[list[OrderSnapshot], list[tuple[Message, str]]]:
    """Return what the deliveries say, and what to set aside with the reason; `blocked` aggregates have some already."""
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


def given_up(obstacle: NotYet | ServiceError) -> Exception:
    """Return what to say of the obstacle that did not go away."""
    return LogIncomplete(obstacle.orders_behind) if isinstance(obstacle, NotYet) else obstacle
