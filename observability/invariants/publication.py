"""Check I6: every stored event is in the log, once, as it was stored, and in order.

The event store is read first, then the log up to its head. So an event that was stored and no longer in the outbox must
be in the log. Events of the log that the first read lacks are looked up in the store again, and on the other servers.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg
from google.protobuf.message import DecodeError
from shop.order.v1.order_events_pb2 import OrderEvent

from observability.invariants.event_histories import UNREADABLE
from observability.invariants.snapshot_reader import Reader
from observability.invariants.target import Tally
from services.infra.messaging.log import EventLog
from services.infra.messaging.message import LogState, Message
from services.order.workers.event_messages import message_of

I6 = "every stored event is in the log, once, as it was stored, and in order of its order's versions"
READ_LIMIT = 1_000
STORE = {
    "its versions have a gap": """
        SELECT stream_id AS "order", min(version) AS first, max(version) AS last, count(*) AS events FROM events
        GROUP BY stream_id HAVING min(version) <> 1 OR max(version) <> count(*)""",
    "the outbox speaks of no event": """
        SELECT outbox.stream_id AS "order", outbox.version FROM outbox LEFT JOIN events USING (stream_id, version)
        WHERE event_id IS NULL""",
}
PUBLISHED = {"it waits to be published though nothing is in flight": 'SELECT stream_id AS "order", version FROM outbox'}
EVENTS = """
    SELECT e.*, before.sequence AS sequence_before FROM events e
    LEFT JOIN events before ON before.stream_id = e.stream_id AND before.version = e.version - 1
    WHERE e.event_id = ANY($1)"""
WAITING = """
    SELECT e.event_id, e.stream_id, e.version, e.sequence, outbox_id IS NOT NULL AS waits
    FROM events e LEFT JOIN outbox USING (stream_id, version)"""
RELAY = "SELECT log_incarnation, published_count, republish_to IS NOT NULL AS fills FROM relay"


async def is_whole(orders: Reader, log: LogState) -> bool:
    """Return whether the log is the one that the relay published to, with all its events."""
    rows = await orders.rows(RELAY)
    return not rows or (
        rows[0]["log_incarnation"] in {None, log.incarnation}
        and rows[0]["published_count"] <= log.count
        and not rows[0]["fills"]
    )


class Publication:
    """Compares the log of one server of orders with its event store in one pass; it stores one bit for each event.

    orders: snapshot of the order database.
    now: the same database, as it is at each query.
    everywhere: all order databases, as they are at each query; a log keeps the events of orders that were moved away.
    log: the event log.
    head: the log's state, read after the snapshot.
    tally: that of I6, over all servers.
    """

    def __init__(
        self, *, orders: Reader, now: Reader, everywhere: Reader, log: EventLog, head: LogState, tally: Tally
    ) -> None:
        self._orders = orders
        self._now = now
        self._everywhere = everywhere
        self._log = log
        self._head = head
        self._seen = Seen()
        self._tally = tally

    async def check(self, *, quiet: bool) -> Tally:
        """Run the check and return its tally."""
        i6 = self._tally
        await self._orders.count_violations(i6, STORE | (PUBLISHED if quiet else {}))
        if not quiet and not await is_whole(self._orders, self._head):
            i6.skipped("the log, which has lost events and is filled again")
            return i6
        if await self._read_log():
            await self._check_missing()
        elif quiet:
            i6.violated("the log was replaced by another while it was read")
        else:
            i6.skipped("the log, which was replaced by another while it was read")
        return i6

    async def _read_log(self) -> bool:
        position, head = 0, self._head
        while position < head.head:
            batch = await self._log.read(after=position, limit=READ_LIMIT, wait_seconds=0)
            if batch.state.incarnation != head.incarnation:
                return False
            if not batch.deliveries:
                break
            position = batch.deliveries[-1].position
            # A stray message is no event: its consumers park it, which shows as dead letters.
            messages = [each.message for each in batch.deliveries if each.position <= head.head and not each.fault]
            await self._compare(messages)
            self._tally.counted += len(messages)
        return True

    async def _compare(self, messages: Sequence[Message]) -> None:
        stored = {row["event_id"]: row for row in await self._orders.rows(EVENTS, [m.event_id for m in messages])}
        if newer := [message.event_id for message in messages if message.event_id not in stored]:
            stored |= {row["event_id"]: row for row in await self._now.rows(EVENTS, newer)}
        moved: dict[UUID, asyncpg.Record] = {}
        if others := [message.event_id for message in messages if message.event_id not in stored]:
            moved = {row["event_id"]: row for row in await self._everywhere.rows(EVENTS, others)}
        for message in messages:
            if message.event_id in stored:
                self._take(message, stored[message.event_id])
            elif message.event_id in moved:
                self._compare_content(message, moved[message.event_id])
            else:
                self._tally.violated(f"{describe(message)} is in the log and not in the store")

    def _take(self, message: Message, row: asyncpg.Record) -> None:
        if self._seen.add(row["sequence"]):
            self._tally.violated(f"{describe(message)} is in the log twice")
        elif row["sequence_before"] is not None and row["sequence_before"] not in self._seen:
            self._tally.violated(f"{describe(message)} is in the log before the version before it")
        self._compare_content(message, row)

    def _compare_content(self, message: Message, row: asyncpg.Record) -> None:
        if not is_as_stored(message, row):
            self._tally.violated(f"{describe(message)} is in the log otherwise than in the store")

    async def _check_missing(self) -> None:
        async for row in self._orders.stream(WAITING, by=("sequence",)):
            if not row["waits"] and row["sequence"] not in self._seen:
                which = f"event {row['event_id']}, version {row['version']} of order {row['stream_id']},"
                self._tally.violated(f"{which} is neither in the log nor in the outbox")


class Seen:
    """A set of small numbers, one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, number: int) -> bool:
        """Return whether the number was added."""
        index, bit = divmod(number, 8)
        return index < len(self._bits) and bool(self._bits[index] & 1 << bit)

    def add(self, number: int) -> bool:
        """Add a number; return whether it was there before."""
        was_there = number in self
        index, bit = divmod(number, 8)
        if index >= len(self._bits):
            self._bits.extend(bytes(index + 1 - len(self._bits)))
        self._bits[index] |= 1 << bit
        return was_there


def is_as_stored(message: Message, row: asyncpg.Record) -> bool:
    """Return whether a message has the content of its event's row; its bytes may be encoded differently."""
    try:
        expected = message_of(row)
        return message == expected or (
            replace(message, data=b"") == replace(expected, data=b"")
            and OrderEvent.FromString(message.data) == OrderEvent.FromString(expected.data)
        )
    except (DecodeError, *UNREADABLE):
        return False


def describe(message: Message) -> str:
    """Return a message's event, version and order in words."""
    return f"event {message.event_id}, version {message.aggregate_version} of order {message.aggregate_id},"
