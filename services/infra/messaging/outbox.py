"""Outbox: the stored events that are not published yet, in rows written by the transaction that stores them.

A naive version publishes after the commit: a crash between the two leaves an order that is never published. Publishing
before the commit may announce an order that was never stored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.infra.messaging.log import Fenced
from services.infra.messaging.message import LogState, Message
from services.infra.postgres import Database

# Limit of streams that are held back because of an unreadable event. Beyond it this release is wrong rather than some
# events, and nothing is published until another release runs.
MOST_HELD = 1_000


class TooManyUnreadable(Exception):
    """Too many streams have an unreadable event, so this release publishes nothing."""

    def __init__(self) -> None:
        super().__init__(f"{MOST_HELD} streams hold an event that this release cannot read")


@dataclass(frozen=True, slots=True)
class Lease:
    """Right to publish, for a limited time, and the state of publishing.

    epoch: fencing token; each new holder has a higher one
    log_incarnation: log that was published to last; None if none was
    published_count: messages in that log, strays included; a log with fewer has lost some
    republish_after: while a lost log is refilled, the event sequence reached; None otherwise
    republish_to: the event sequence at which refilling ends
    """

    epoch: int
    log_incarnation: str | None
    published_count: int
    republish_after: int | None
    republish_to: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """An event: its key in the table `events`, and the message that is published."""

    stream_id: UUID
    version: int
    sequence: int
    message: Message


class Outbox:
    """The tables `events`, `outbox` and `relay` of one database.

    database: database with the three tables
    to_message: returns the message of an event's row; raises LookupError, TypeError or ValueError for an unreadable one
    on_unreadable: called once for each stream with an unreadable event, with the event's id and the error

    An unreadable row was written by hand or by a newer release. It stays in the outbox with the later events of its
    stream until the process restarts, and an alert sees their age. Other streams go on, up to MOST_HELD held streams.
    """

    def __init__(
        self,
        *,
        database: Database,
        to_message: Callable[[asyncpg.Record], Message],
        on_unreadable: Callable[[UUID, Exception], None],
    ) -> None:
        self._database = database
        self._to_message = to_message
        self._on_unreadable = on_unreadable
        self._held: set[UUID] = set()

    async def take_lease(self, holder: str, seconds: float, *, above_epoch: int = 0) -> Lease | None:
        """Take or renew the lease; return None while another relay holds it. Its epoch is higher than `above_epoch`."""
        # Purpose: one relay at a time, with a fencing token that grows with each holder.
        upsert = """
            INSERT INTO relay (holder, epoch, lease_end_time)
            VALUES ($1, $3 + 1, clock_timestamp() + $2 * interval '1 second')
            ON CONFLICT (only_row) DO UPDATE SET holder = excluded.holder, lease_end_time = excluded.lease_end_time,
                epoch = greatest(relay.epoch + (relay.holder <> excluded.holder)::int, excluded.epoch)
            WHERE relay.holder = excluded.holder OR relay.lease_end_time < clock_timestamp()
            RETURNING epoch, log_incarnation, published_count, republish_after, republish_to"""
        async with self._database.transaction("relay.take_lease") as transaction:
            rows = await transaction.fetch("INSERT relay", upsert, holder, seconds, above_epoch)
        return Lease(**rows[0]) if rows else None

    async def give_up_lease(self, holder: str) -> None:
        """End the lease, so that another relay can take it at once."""
        update = "UPDATE relay SET lease_end_time = '-infinity' WHERE holder = $1"
        async with self._database.transaction("relay.give_up_lease") as transaction:
            await transaction.execute("UPDATE relay", update, holder)

    async def unpublished(self, limit: int) -> list[Stored]:
        """Return the oldest unpublished events; those of one aggregate in order of version.

        Raises TooManyUnreadable.
        """
        # Purpose: outbox_id keeps the order of versions, since each is inserted after its predecessor has committed.
        select = """
            SELECT events.* FROM outbox JOIN events USING (stream_id, version)
            WHERE NOT stream_id = ANY($1)
            ORDER BY outbox_id LIMIT $2"""
        return await self._readable("SELECT outbox", select, limit)

    async def to_republish(self, lease: Lease, limit: int) -> list[Stored]:
        """Return the next events of the range that is republished, in order. Raises TooManyUnreadable.

        An event that commits late, with a sequence below the one reached, is still in the outbox and is published from
        there. So are later events of its aggregate, whose sequences are beyond the range.
        """
        # Purpose: in the order of storing, which keeps the order within each aggregate.
        select = """
            SELECT * FROM events WHERE NOT stream_id = ANY($1) AND sequence > $2 AND sequence <= $3
            ORDER BY sequence LIMIT $4"""
        return await self._readable("SELECT events", select, lease.republish_after, lease.republish_to, limit)

    async def mark_published(
        self, events: Sequence[Stored], *, lease: Lease, log: LogState, reached: int | None = None
    ) -> Lease:
        """Delete events from the outbox, and record the log that has them and its number of messages.

        `reached` is the sequence reached in refilling a lost log, None if that is complete or not needed. Raises Fenced
        if another relay has the lease, or these events were marked before.
        """
        # Purpose: the fence, and the number of messages that the log must still have later.
        update = """
            UPDATE relay SET published_count = $3, log_incarnation = $4, republish_after = $5,
                republish_to = CASE WHEN $5::bigint IS NULL THEN NULL ELSE republish_to END
            WHERE epoch = $1 AND republish_after IS NOT DISTINCT FROM $2
            RETURNING epoch, log_incarnation, published_count, republish_after, republish_to"""
        # Purpose: by key, since a republished event may be in the outbox or not.
        delete = """
            DELETE FROM outbox USING unnest($1::uuid[], $2::bigint[]) AS event (stream_id, version)
            WHERE outbox.stream_id = event.stream_id AND outbox.version = event.version"""
        arguments = (lease.epoch, lease.republish_after, log.count, log.incarnation, reached)
        keys = [event.stream_id for event in events], [event.version for event in events]
        async with self._database.transaction("relay.mark_published") as transaction:
            rows = await transaction.fetch("UPDATE relay", update, *arguments)
            if not rows:
                raise Fenced
            await transaction.execute("DELETE outbox", delete, *keys)
        return Lease(**rows[0])

    async def begin_republish(self, *, lease: Lease, log: LogState) -> Lease:
        """Record that all events stored so far must be republished to an empty log. Raises Fenced."""
        # Purpose: no event counts as published now; events stored from now on are published from the outbox.
        update = """
            UPDATE relay SET published_count = 0, log_incarnation = $2, republish_after = 0,
                republish_to = (SELECT coalesce(max(sequence), 0) FROM events)
            WHERE epoch = $1
            RETURNING epoch, log_incarnation, published_count, republish_after, republish_to"""
        async with self._database.transaction("relay.republish") as transaction:
            rows = await transaction.fetch("UPDATE relay", update, lease.epoch, log.incarnation)
            if not rows:
                raise Fenced
        return Lease(**rows[0])

    async def backlog(self) -> tuple[int, float]:
        """Return the number of unpublished events and the age of the oldest, in seconds."""
        # Purpose: values of the outbox gauges.
        select = """
            SELECT (SELECT count(*) FROM outbox) AS depth, coalesce((
                SELECT extract(epoch FROM clock_timestamp() - occur_time)::float8
                FROM outbox JOIN events USING (stream_id, version) ORDER BY outbox_id LIMIT 1), 0) AS age"""
        (row,) = await self._database.fetch("SELECT outbox depth", select)
        return row["depth"], max(0.0, row["age"])

    async def _readable(self, summary: str, select: str, *arguments: object) -> list[Stored]:
        """Return the readable events of a query; its first parameter is the list of streams to leave out."""
        while True:
            rows = await self._database.fetch(summary, select, list(self._held), *arguments)
            held_before = len(self._held)
            found = [stored for row in rows if (stored := self._stored(row))]
            if len(self._held) == held_before:
                return found

    def _stored(self, row: asyncpg.Record) -> Stored | None:
        """Return the event of a row, or None if its stream is held back."""
        if row["stream_id"] in self._held:
            return None
        try:
            return Stored(row["stream_id"], row["version"], row["sequence"], self._to_message(row))
        except (LookupError, TypeError, ValueError) as error:
            if len(self._held) == MOST_HELD:
                raise TooManyUnreadable from error
            self._held.add(row["stream_id"])
            self._on_unreadable(row["event_id"], error)
            return None
