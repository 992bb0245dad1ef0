"""The outbox: stored events that are not published yet, in rows written in the transaction that stores them.

The naive version publishes after the commit: a process that dies between the two has an order nobody hears of. The
other way round it announces an order that was never stored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.infra.messaging.log import Fenced
from services.infra.messaging.message import LogState, Message
from services.infra.postgres import Database

# Streams that are left out because of an event that cannot be read. With so many it is not some events that are wrong,
# but this release: nothing is published until another one runs.
MOST_HELD = 1_000


class TooManyUnreadable(Exception):
    """The outbox holds as many streams with an unreadable event as may be left out; this release cannot publish it."""

    def __init__(self) -> None:
        super().__init__(f"{MOST_HELD} streams hold an event that this release cannot read")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to publish until it ends; a new holder has a higher epoch. And which log was published to.

    `published_count` is how many messages that log held then, strays included: one that holds less has lost some. While
    a log is filled again, `republish_after` is the sequence that was reached and `republish_to` the one to end with.
    """

    epoch: int
    log_incarnation: str | None
    published_count: int
    republish_after: int | None
    republish_to: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it stands in `events`, and as it is published."""

    stream_id: UUID
    version: int
    sequence: int
    message: Message


class Outbox:
    """The tables `events`, `outbox` and `relay` of one database; `to_message` says how an event's row is published.

    A row that it cannot read, by hand or of a newer release, is told to `on_unreadable`. It stays in the outbox with
    the later ones of its stream, whose age an alert sees, until this process is another; the other streams go on, up to
    MOST_HELD such streams.
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
        """Take or renew the lease; None while another holds it. Its epoch is higher than `above_epoch`."""
        # Purpose: one relay at a time, and a number that tells a later one from an earlier one.
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
        """Let the next relay begin at once."""
        update = "UPDATE relay SET lease_end_time = '-infinity' WHERE holder = $1"
        async with self._database.transaction("relay.give_up_lease") as transaction:
            await transaction.execute("UPDATE relay", update, holder)

    async def unpublished(self, limit: int) -> list[Stored]:
        """Return the oldest events that are not published. Events of one aggregate come in order of version.

        Raises TooManyUnreadable.
        """
        # Purpose: a version is inserted only after the one before has committed, so outbox_id keeps their order.
        select = """
            SELECT events.* FROM outbox JOIN events USING (stream_id, version)
            WHERE NOT stream_id = ANY($1)
            ORDER BY outbox_id LIMIT $2"""
        return await self._readable("SELECT outbox", select, limit)

    async def to_republish(self, lease: Lease, limit: int) -> list[Stored]:
        """Return the next stored events of the range that is published again, in order.

        One that commits behind our back, below what was reached, is still in the outbox and comes from there; so does
        what its aggregate stores after it, which has a sequence beyond the range. Raises TooManyUnreadable.
        """
        # Purpose: in the order of storing, which keeps the order within each aggregate.
        select = """
            SELECT * FROM events WHERE NOT stream_id = ANY($1) AND sequence > $2 AND sequence <= $3
            ORDER BY sequence LIMIT $4"""
        return await self._readable("SELECT events", select, lease.republish_after, lease.republish_to, limit)

    async def mark_published(
        self, events: Sequence[Stored], *, lease: Lease, log: LogState, reached: int | None = None
    ) -> Lease:
        """Take the events out of the outbox, and keep which log has them and how many messages it holds.

        `reached` is how far a log that is filled again has come, None when it is full or was never empty. Raises Fenced
        when the lease went to another, or when these events were marked before.
        """
        # Purpose: the fence, and what the log holds now, which it may not fall short of later.
        update = """
            UPDATE relay SET published_count = $3, log_incarnation = $4, republish_after = $5,
                republish_to = CASE WHEN $5::bigint IS NULL THEN NULL ELSE republish_to END
            WHERE epoch = $1 AND republish_after IS NOT DISTINCT FROM $2
            RETURNING epoch, log_incarnation, published_count, republish_after, republish_to"""
        # Purpose: by key, since an event that is published again may be there or not.
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
        """Note that everything stored so far is to be published again, to a log that is empty. Raises Fenced."""
        # Purpose: from now on nothing counts as published; what is stored from now on comes from the outbox.
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
        """Return how many events wait, and for how many seconds the oldest has."""
        # Purpose: what the outbox gauges show.
        select = """
            SELECT (SELECT count(*) FROM outbox) AS depth, coalesce((
                SELECT extract(epoch FROM clock_timestamp() - occur_time)::float8
                FROM outbox JOIN events USING (stream_id, version) ORDER BY outbox_id LIMIT 1), 0) AS age"""
        (row,) = await self._database.fetch("SELECT outbox depth", select)
        return row["depth"], max(0.0, row["age"])

    async def _readable(self, summary: str, select: str, *arguments: object) -> list[Stored]:
        """Return what a query finds, as messages; its first parameter is what streams to leave out."""
        while True:
            rows = await self._database.fetch(summary, select, list(self._held), *arguments)
            held_before = len(self._held)
            found = [stored for row in rows if (stored := self._stored(row))]
            if len(self._held) == held_before:
                return found

    def _stored(self, row: asyncpg.Record) -> Stored | None:
        """Return the event of a row, None for one of a stream that is held."""
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
