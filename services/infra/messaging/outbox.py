"""Which stored events are not published yet? Rows beside the events, written in the transaction that stores them.

The naive version publishes after the commit: a process that dies between the two has an order nobody hears of. The
other way round it announces an order that was never stored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg

from services.infra.messaging.log import Fenced
from services.infra.messaging.message import LogState, Message
from services.infra.postgres import Database


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to publish until it ends; a new holder has a higher epoch. What the log held when we last looked."""

    epoch: int
    log_incarnation: str | None
    published_count: int


@dataclass(frozen=True, slots=True)
class Unpublished:
    """An event that waits for the relay."""

    outbox_id: int
    message: Message


class Outbox:
    """The tables `events`, `outbox` and `relay` of one database; `to_message` says how an event's row is published."""

    def __init__(self, *, database: Database, to_message: Callable[[asyncpg.Record], Message]) -> None:
        self._database = database
        self._to_message = to_message

    async def take_lease(self, holder: str, seconds: float) -> Lease | None:
        """Take or renew the lease; None while another holds it."""
        # Purpose: one relay at a time, and a number that tells a later one from an earlier one.
        upsert = """
            INSERT INTO relay (holder, lease_end_time) VALUES ($1, clock_timestamp() + $2 * interval '1 second')
            ON CONFLICT (only_row) DO UPDATE SET epoch = relay.epoch + (relay.holder <> $1)::int, holder = $1,
                lease_end_time = excluded.lease_end_time
            WHERE relay.holder = $1 OR relay.lease_end_time < clock_timestamp()
            RETURNING epoch, log_incarnation, published_count"""
        async with self._database.transaction("relay.take_lease") as transaction:
            rows = await transaction.fetch("INSERT relay", upsert, holder, seconds)
        return Lease(**rows[0]) if rows else None

    async def give_up_lease(self, holder: str) -> None:
        """Let the next relay begin at once."""
        update = "UPDATE relay SET lease_end_time = '-infinity' WHERE holder = $1"
        async with self._database.transaction("relay.give_up_lease") as transaction:
            await transaction.execute("UPDATE relay", update, holder)

    async def unpublished(self, limit: int) -> list[Unpublished]:
        """Return the oldest events that are not published. Events of one aggregate come in order of version."""
        # Purpose: a version is inserted only after the one before has committed, so outbox_id keeps their order.
        select = """
            SELECT outbox_id, events.* FROM outbox JOIN events USING (stream_id, version)
            ORDER BY outbox_id LIMIT $1"""
        rows = await self._database.fetch("SELECT outbox", select, limit)
        return [Unpublished(row["outbox_id"], self._to_message(row)) for row in rows]

    async def mark_published(self, outbox_ids: Sequence[int], *, epoch: int, log: LogState) -> None:
        """Take the rows out, and keep which log has them. Raises Fenced when the lease went to another."""
        # Purpose: the fence and the deletion in one statement.
        delete = """
            WITH fence AS (
                UPDATE relay SET published_count = published_count + cardinality($1::bigint[]), log_incarnation = $3
                WHERE epoch = $2 RETURNING 1),
            published AS (DELETE FROM outbox USING fence WHERE outbox_id = ANY($1))
            SELECT 1 FROM fence"""
        async with self._database.transaction("relay.mark_published") as transaction:
            if not await transaction.fetch("DELETE outbox", delete, outbox_ids, epoch, log.incarnation):
                raise Fenced

    async def publish_all_again(self, *, epoch: int, log: LogState) -> int:
        """Put every stored event back into the outbox, for a log that lost some; return how many."""
        async with self._database.transaction("relay.publish_all_again") as transaction:
            # Purpose: from now on nothing counts as published.
            update = "UPDATE relay SET published_count = 0, log_incarnation = $2 WHERE epoch = $1"
            if not await transaction.execute("UPDATE relay", update, epoch, log.incarnation):
                raise Fenced
            await transaction.execute("DELETE outbox", "DELETE FROM outbox")
            # Purpose: in the order in which they were stored, which keeps the order within each aggregate.
            insert = "INSERT INTO outbox (stream_id, version) SELECT stream_id, version FROM events ORDER BY sequence"
            return await transaction.execute("INSERT outbox", insert)

    async def backlog(self) -> tuple[int, float]:
        """Return how many events wait, and for how many seconds the oldest has."""
        # Purpose: what the outbox gauges show.
        select = """
            SELECT (SELECT count(*) FROM outbox) AS depth, coalesce((
                SELECT extract(epoch FROM clock_timestamp() - occur_time)::float8
                FROM outbox JOIN events USING (stream_id, version) ORDER BY outbox_id LIMIT 1), 0) AS age"""
        (row,) = await self._database.fetch("SELECT outbox depth", select)
        return row["depth"], max(0.0, row["age"])
