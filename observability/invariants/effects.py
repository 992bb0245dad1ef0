"""Check I8: each event was processed once; each completed order has one notification, and each of these one file.

Notifications are read before the event store, since each one's event was stored before it. A file is written after its
notification is recorded, and before that counts as sent: so files are listed before the notifications, and again after.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import asyncpg

from observability.invariants.event_histories import UNREADABLE, content_of_event
from observability.invariants.snapshot_reader import Reader, side_by_side
from observability.invariants.target import CONSUMERS, Tally

I8 = "an event takes effect once: each completed order is confirmed to its customer once"
NOTIFICATIONS = """
    SELECT event_id, order_id, customer_id, currency_code, total_minor, line_count, occur_time, state
    FROM notifications ORDER BY event_id"""
EVENTS = """
    SELECT event_id, stream_id, meta, occur_time FROM events WHERE type = 'order.completed' ORDER BY event_id"""
DEAD_LETTERS = {
    consumer: {
        "it is a dead letter": f"""
            SELECT consumer, event_id AS event, aggregate_id AS "order", reason FROM dead_letters
            WHERE consumer = '{consumer}'"""
    }
    for consumer in CONSUMERS.values()
}
SUFFIX = ".eml"


def list_files(folder: Path | None) -> frozenset[str]:
    """Return the names of the confirmations in a folder; empty without a folder."""
    return frozenset(path.name for path in folder.glob(f"*{SUFFIX}")) if folder else frozenset()


class Effects:
    """Compares notifications with events and files.

    consumers: databases of all consumers, by name, read first.
    orders: the order database, read later.
    folder: confirmations as files; None without.
    files_before: names listed before the notifications were read.
    quiet: whether nothing is in flight.
    """

    def __init__(
        self,
        *,
        consumers: Mapping[str, Reader],
        orders: Reader,
        folder: Path | None,
        files_before: Iterable[str],
        quiet: bool,
    ) -> None:
        self._consumers = consumers
        self._orders = orders
        self._folder = folder
        self._unexplained = set(files_before)
        self._quiet = quiet
        self._tally = Tally("I8", I8)

    async def check(self) -> Tally:
        """Run the check and return its tally."""
        files = list_files(self._folder)
        pairs = side_by_side(
            self._consumers["notification"].stream(NOTIFICATIONS, by=("event_id",)),
            self._orders.stream(EVENTS, by=("event_id",)),
            left_key=lambda row: row["event_id"],
            right_key=lambda row: row["event_id"],
        )
        async for notification, event in pairs:
            self._tally.counted += 1
            if notification is not None:
                self._compare(notification, event, files)
            elif event is not None and self._quiet:
                self._tally.violated(f"order {event['stream_id']} was completed and its customer not notified")
        for name in sorted(self._unexplained):
            self._tally.violated(f"file {name} is of no notification")
        if self._quiet:
            for database, consumer in CONSUMERS.items():
                await self._consumers[database].count_violations(self._tally, DEAD_LETTERS[consumer])
        return self._tally

    def _compare(self, notification: asyncpg.Record, event: asyncpg.Record | None, files: frozenset[str]) -> None:
        event_id, name = notification["event_id"], f"{notification['event_id']}{SUFFIX}"
        self._unexplained.discard(name)
        if event is None:
            self._tally.violated(f"notification {event_id} is of no completed order")
        elif not has_content_of(notification, event):
            self._tally.violated(f"notification {event_id} says something else than its event")
        if notification["state"] == "SENT":
            if self._folder is not None and name not in files:
                self._tally.violated(f"notification {event_id} was sent and its file is not there")
        elif self._quiet:
            self._tally.violated(f"notification {event_id} was not sent though nothing is in flight")


def has_content_of(notification: asyncpg.Record, event: asyncpg.Record) -> bool:
    """Return whether a notification has the same content as its event."""
    try:
        expected = content_of_event(event)
    except UNREADABLE:
        return False
    currency_code = notification["currency_code"]
    content = (
        notification["order_id"],
        notification["customer_id"],
        None if currency_code is None else (currency_code, notification["total_minor"]),
        notification["line_count"],
        notification["occur_time"],
    )
    return content == (
        event["stream_id"],
        expected.customer_id,
        expected.total,
        expected.line_count,
        event["occur_time"],
    )
