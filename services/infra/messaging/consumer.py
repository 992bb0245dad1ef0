"""Consumer of an event log: each event takes effect once, since effect and position are saved in one transaction.

A naive consumer acknowledges before the effect, and loses it in a crash between the two, or after it, and repeats it.
Events that are delivered twice all the same, after a log was rebuilt, are rejected by the handler's own keys.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from observability.telemetry.messaging import ConsumerTelemetry
from services.infra.messaging.dead_letters import DeadLetters
from services.infra.messaging.log import EventLog
from services.infra.messaging.message import Batch, LogState, Message, ReceivedMessage
from services.infra.messaging.poison import is_poison
from services.infra.postgres import Database, Transaction

BATCH_SIZE = 200
ATTEMPTS = 5
READ_WAIT_SECONDS = 0.5

# Applies messages in the transaction and returns how many of them were new; raises for a poison message.
Handle = Callable[[Transaction, Sequence[Message]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position of a consumer, and the incarnation of the log that it belongs to."""

    incarnation: str
    position: int


def cursor_name(consumer: str, log: int) -> str:
    """Return the name of a consumer's cursor in one of several logs, counted from 0."""
    return consumer if log == 0 else f"{consumer}.{log}"


class Consumer:
    """Consumer of one log; `step` is a worker's step. Of several replicas only one can move the cursor at a time.

    A consumer of several logs is one Consumer for each, with a `cursor` of its own; its dead letters are those of all.
    """

    def __init__(
        self,
        name: str,
        *,
        database: Database,
        log: EventLog,
        handle: Handle,
        telemetry: ConsumerTelemetry,
        cursor: str | None = None,
    ) -> None:
        self._name = name
        self._cursor_name = cursor or name
        self._database = database
        self._log = log
        self._handle = handle
        self._telemetry = telemetry
        self._dead_letters = DeadLetters(name, database=database)
        self._batch_size = BATCH_SIZE
        # Position of the message that failed last, and its number of failures.
        self._failed_at: Cursor | None = None
        self._failures = 0

    async def step(self) -> float:
        """Consume one batch. Raises transient errors to the worker, which backs off, and poison at its first attempts.

        After a failure messages are read one by one, so that only the poison message itself is parked. A message that
        is no event is parked at once.
        """
        cursor = await self._cursor()
        batch = await self._log.read(after=cursor.position, limit=self._batch_size, wait_seconds=READ_WAIT_SECONDS)
        if batch.state.incarnation != cursor.incarnation or batch.state.head < cursor.position:
            await self._rewind(batch.state)
            return 0.0
        self._telemetry.lag(batch.state.head - cursor.position, _oldest(batch))
        if batch.deliveries:
            await self._consume(cursor, batch.deliveries)
            left = batch.state.head - batch.deliveries[-1].position
            self._telemetry.lag(left, None if left == 0 else batch.deliveries[-1].message.occur_time)
        return 0.0

    async def _consume(self, cursor: Cursor, deliveries: tuple[ReceivedMessage, ...]) -> None:
        try:
            await self._apply(cursor, deliveries)
        except Exception as error:
            if not is_poison(error):
                raise
            if len(deliveries) > 1:
                self._batch_size = 1
                raise
            if not self._is_last_attempt(cursor):
                raise
            await self._park(cursor, deliveries[0], error)
        self._batch_size = min(BATCH_SIZE, self._batch_size * 2)

    def _is_last_attempt(self, cursor: Cursor) -> bool:
        self._failures = self._failures + 1 if cursor == self._failed_at else 1
        self._failed_at = cursor
        return self._failures >= ATTEMPTS

    async def _apply(self, cursor: Cursor, deliveries: tuple[ReceivedMessage, ...]) -> None:
        messages = [delivery.message for delivery in deliveries if delivery.fault is None]
        strays = [(delivery.message, delivery.fault) for delivery in deliveries if delivery.fault is not None]
        with self._telemetry.processing(messages):
            async with self._database.transaction(f"consume.{self._name}") as transaction:
                if not await self._move(transaction, cursor, deliveries[-1].position):
                    return
                blocked = await self._dead_letters.blocked(transaction, {m.aggregate_id for m in messages})
                unblocked = [message for message in messages if message.aggregate_id not in blocked]
                for message in messages:
                    if message.aggregate_id in blocked:
                        await self._dead_letters.park(transaction, message, reason="BEHIND_ANOTHER")
                for stray, fault in strays:
                    await self._dead_letters.park(transaction, stray, reason=fault)
                new = await self._handle(transaction, unblocked) if unblocked else 0
            self._telemetry.processed(unblocked, new)
        self._telemetry.parked(len(messages) - len(unblocked))
        for stray, fault in strays:
            self._telemetry.gave_up(stray, reason=fault)

    async def _park(self, cursor: Cursor, delivery: ReceivedMessage, error: Exception) -> None:
        """Park one message for an operator; later messages of its aggregate are parked behind it."""
        reason = getattr(error, "reason", type(error).__name__)
        async with self._database.transaction(f"park.{self._name}") as transaction:
            if not await self._move(transaction, cursor, delivery.position):
                return
            await self._dead_letters.park(transaction, delivery.message, reason=reason)
        self._telemetry.gave_up(delivery.message, reason=reason, error=error)

    async def _cursor(self) -> Cursor:
        select = "SELECT incarnation, position FROM consumer_cursors WHERE consumer = $1"
        rows = await self._database.fetch("SELECT consumer_cursors", select, self._cursor_name)
        return Cursor(rows[0]["incarnation"], rows[0]["position"]) if rows else Cursor("", 0)

    async def _move(self, transaction: Transaction, cursor: Cursor, position: int) -> bool:
        # Purpose: compare and set; no row if another replica has moved the cursor meanwhile.
        update = "UPDATE consumer_cursors SET position = $4 WHERE consumer = $1 AND incarnation = $2 AND position = $3"
        arguments = (self._cursor_name, cursor.incarnation, cursor.position, position)
        return await transaction.execute("UPDATE consumer_cursors", update, *arguments) == 1

    async def _rewind(self, log: LogState) -> None:
        """Set the cursor to the beginning of another log."""
        # Purpose: start over; events that were consumed from another log are rejected by the handler's keys.
        upsert = """
            INSERT INTO consumer_cursors (consumer, incarnation, position) VALUES ($1, $2, 0)
            ON CONFLICT (consumer) DO UPDATE SET incarnation = $2, position = 0"""
        async with self._database.transaction(f"rewind.{self._name}") as transaction:
            await transaction.execute("INSERT consumer_cursors", upsert, self._cursor_name, log.incarnation)
        self._telemetry.rewound()


def _oldest(batch: Batch) -> datetime | None:
    return batch.deliveries[0].message.occur_time if batch.deliveries else None
