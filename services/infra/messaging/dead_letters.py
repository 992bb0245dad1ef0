"""What becomes of an event that cannot be consumed? It is parked with its successors, listed, and replayed in order."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.infra.messaging.message import Message
from services.infra.messaging.rows import message_of
from services.infra.postgres import Database, Transaction

REPLAY_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A parked message and why: an error's reason, or BEHIND_ANOTHER of its aggregate."""

    message: Message
    reason: str
    create_time: datetime


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
        """Keep a message aside."""
        # Purpose: with everything that a replay needs, since a log may be gone by then.
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
        """Return the oldest ones."""
        select = "SELECT * FROM dead_letters WHERE consumer = $1 ORDER BY create_time, aggregate_version LIMIT $2"
        rows = await self._database.fetch("SELECT dead_letters", select, self._consumer, limit)
        return [DeadLetter(message_of(row), row["reason"], row["create_time"]) for row in rows]

    async def count(self) -> int:
        """Return how many are parked."""
        select = "SELECT count(*) FROM dead_letters WHERE consumer = $1"
        (row,) = await self._database.fetch("SELECT dead_letters count", select, self._consumer)
        count: int = row["count"]
        return count

    async def replay(self, handle: Callable[[Transaction, Sequence[Message]], Awaitable[int]]) -> int:
        """Consume the parked messages, each aggregate in order; return how many. The first failure passes."""
        # Purpose: by aggregate, then version.
        select = "SELECT * FROM dead_letters WHERE consumer = $1 ORDER BY aggregate_id, aggregate_version LIMIT $2"
        rows = await self._database.fetch("SELECT dead_letters", select, self._consumer, REPLAY_LIMIT)
        for row in rows:
            async with self._database.transaction("dead_letters.replay") as transaction:
                delete = "DELETE FROM dead_letters WHERE consumer = $1 AND event_id = $2"
                if await transaction.execute("DELETE dead_letters", delete, self._consumer, row["event_id"]):
                    await handle(transaction, [message_of(row)])
        return len(rows)
