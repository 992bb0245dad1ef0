"""Check I7, second part: the list of orders follows from their events, and no consumer is ahead of the log.

The list is read before the event store: each of its rows comes from an event that was stored before. The store is used
in place of the log, since both have the same events (I6).
"""

from typing import Any

import asyncpg

from observability.invariants.event_histories import UNREADABLE, EventContent, content_of_event
from observability.invariants.snapshot_reader import Reader, side_by_side
from observability.invariants.target import Tally
from services.infra.messaging.message import LogState

I7 = "every projection is the fold of its events"
SUMMARIES = """
    SELECT order_id, customer_id, version, state, line_count, currency_code, total_minor, create_time, update_time
    FROM order_summaries ORDER BY order_id"""
EVENTS = """
    SELECT stream_id, version, meta, occur_time,
        lead(version) OVER (PARTITION BY stream_id ORDER BY version) IS NULL AS is_latest
    FROM events ORDER BY stream_id, version"""
CURSORS = "SELECT incarnation, position FROM consumer_cursors WHERE consumer = $1"


async def check_summaries(read: Reader, orders: Reader, i7: Tally, *, quiet: bool) -> None:
    """Compare each row of the list with its event, which must be the latest one if the shop is quiescent."""
    pairs = side_by_side(
        read.stream(SUMMARIES, by=("order_id",)),
        orders.stream(EVENTS, by=("stream_id", "version")),
        left_key=lambda row: (row["order_id"], row["version"]),
        right_key=lambda row: (row["stream_id"], row["version"]),
    )
    async for summary, event in pairs:
        if summary is None:
            if quiet and event is not None and event["is_latest"]:
                i7.violated(f"the list does not have order {event['stream_id']} at its version {event['version']}")
            continue
        i7.counted += 1
        if event is None:
            i7.violated(f"the list has order {summary['order_id']} at version {summary['version']}, which is no event")
        elif not is_made_of(summary, event):
            i7.violated(f"the list has order {summary['order_id']} otherwise than its event {event['version']}")


def is_made_of(summary: asyncpg.Record, event: asyncpg.Record) -> bool:
    """Return whether a row of the list has the content of an event."""
    currency_code, total_minor = summary["currency_code"], summary["total_minor"]
    names = ("customer_id", "state", "line_count", "create_time", "update_time")
    values: dict[str, Any] = {name: summary[name] for name in names}
    try:
        return content_of_event(event) == EventContent(
            **values, total=None if currency_code is None else (currency_code, total_minor)
        )
    except UNREADABLE:
        return False


async def check_cursor(name: str, database: Reader, log: LogState, i7: Tally, *, quiet: bool) -> None:
    """Report a consumer ahead of the log, or in a quiescent shop behind it; its cursor was read before the log."""
    rows = await database.rows(CURSORS, name)
    incarnation, position = (rows[0]["incarnation"], rows[0]["position"]) if rows else (log.incarnation, 0)
    i7.counted += 1
    if incarnation != log.incarnation:
        if quiet:
            i7.violated(f"consumer {name} has its place in log {incarnation}, which is not the one that is there")
    elif position > log.head or (quiet and position < log.head):
        i7.violated(f"consumer {name} stands at {position} in a log that ends at {log.head}")
