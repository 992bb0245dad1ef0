"""Dead letters: events that cannot be consumed are parked with their successors, listed, and replayed in order."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.infra.messaging.message import Message
from services.infra.messaging.poison import is_poison
from services.infra.messaging.rows import message_of
from services.infra.postgres import Database, Transaction


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A parked message; the reason is that of an error, or BEHIND_ANOTHER for a successor in its aggregate."""

    message: Message
    reason: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Replay:
    """Result of a replay: messages consumed, messages still parked, and the message and error of each failure."""

    replayed: int
    still_parked: int
    failures: tuple[tuple[Message, Exception], ...]


class DeadLetters:
    """The parked messages of one consumer."""

    def __init__(self, consumer: str, *, database: Database) -> None:
        self._consumer = consumer
        self._database = database

    async def blocked(self, transaction: Transaction, aggregate_ids: set[UUID]) -> set[UUID]:
        """Return those of the aggregates that have a parked message."""
        select = "SELECT DISTINCT aggregate_id FROM dead_letters WHERE consumer = $1 AND aggregate_id = ANY($2)"
        rows = await transaction.fetch("SELECT dead_letters", select, self._consumer, list(aggregate_ids))
        return {row["aggregate_id"] for row in rows}

    async def park(self, transaction: Transaction, message: Message, *, reason: str) -> None:
        """Park a message."""
        # Purpose: store all that a replay needs, since the log may be gone by then.
        insert = """
            INSERT INTO dead_letters (consumer, event_id, type, aggregate_id, aggregate_version, occur_time,
                traceparent, data, reason)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"""
        await transaction.execute(
            "INSERT dead_letters",
            insert,
            self._consumer,
            message.event_id,
            message.type,
            message.aggregate_id,
            message.aggregate_version,
            message.occur_time,
            message.traceparent,
            message.data,
            reason,
        )

    async def list(self, limit: int) -> list[DeadLetter]:
        """Return the oldest dead letters."""
        select = "SELECT * FROM dead_letters WHERE consumer = $1 ORDER BY create_time, aggregate_version LIMIT $2"
        rows = await self._database.fetch("SELECT dead_letters", select, self._consumer, limit)
        return [DeadLetter(message_of(row), row["reason"], row["create_time"]) for row in rows]

    async def count(self) -> int:
        """Return the number of parked messages."""
        select = "SELECT count(*) FROM dead_letters WHERE consumer = $1"
        (row,) = await self._database.fetch("SELECT dead_letters count", select, self._consumer)
        count: int = row["count"]
        return count

    async def replay(self, handle: Callable[[Transaction, Sequence[Message]], Awaitable[int]]) -> Replay:
        """Consume the parked messages of each aggregate in order, until none is left or one fails.

        Raises a transient error at once, since it would affect the other aggregates too.
        """
        replayed = 0
        failures: list[tuple[Message, Exception]] = []
        select = "SELECT DISTINCT aggregate_id FROM dead_letters WHERE consumer = $1"
        for row in await self._database.fetch("SELECT dead_letters", select, self._consumer):
            outcome: bool | tuple[Message, Exception] = True
            while outcome is True:
                outcome = await self._replay_next(row["aggregate_id"], handle)
                replayed += outcome is True
            if isinstance(outcome, tuple):
                failures.append(outcome)
        return Replay(replayed, await self.count(), tuple(failures))

    async def _replay_next(
        self, aggregate_id: UUID, handle: Callable[[Transaction, Sequence[Message]], Awaitable[int]]
    ) -> bool | tuple[Message, Exception]:
        """Consume the first message of an aggregate; return False if there is none, message and error if it failed."""
        message: Message | None = None
        try:
            async with self._database.transaction("dead_letters.replay") as transaction:
                message = await self._take_first(transaction, aggregate_id)
                if message:
                    await handle(transaction, [message])
        except Exception as error:
            if message is None or not is_poison(error):
                raise
            return message, error
        return message is not None

    async def _take_first(self, transaction: Transaction, aggregate_id: UUID) -> Message | None:
        # Purpose: block the consumer and other replays until we commit. So a consumer that finds no dead letters of the
        # aggregate runs after their effects, and one that parks another does so before our last look.
        lock = "SELECT FROM consumer_cursors WHERE consumer = $1 FOR UPDATE"
        await transaction.fetch("SELECT consumer_cursors FOR UPDATE", lock, self._consumer)
        delete = """
            DELETE FROM dead_letters WHERE consumer = $1 AND event_id = (
                SELECT event_id FROM dead_letters WHERE consumer = $1 AND aggregate_id = $2
                ORDER BY aggregate_version LIMIT 1)
            RETURNING *"""
        rows = await transaction.fetch("DELETE dead_letters", delete, self._consumer, aggregate_id)
        return message_of(rows[0]) if rows else None
