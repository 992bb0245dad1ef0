"""Check I7, part 1: replaying an order's events yields its stored row, and each event holds the order's state."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from observability.invariants.snapshot_reader import Reader, grouped, side_by_side
from observability.invariants.target import Tally
from services.order.adapters.event_rows import recorded_of
from services.order.adapters.rows import order_of
from services.order.domain.order import Order, fold

# Errors of reading a row that was tampered with.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
ORDERS = """
    SELECT o.*, l.* FROM orders o, LATERAL (
        SELECT array_agg(sku ORDER BY line_number) AS skus, array_agg(quantity ORDER BY line_number) AS quantities,
            array_agg(currency_code ORDER BY line_number) AS currencies,
            array_agg(unit_price_minor ORDER BY line_number) AS prices
        FROM order_lines WHERE order_id = o.order_id) l
    ORDER BY o.order_id"""
EVENTS = "SELECT * FROM events ORDER BY stream_id, version"


@dataclass(frozen=True, slots=True)
class EventContent:
    """Content of an event for its consumers: the order after it."""

    customer_id: UUID
    state: str
    line_count: int
    total: tuple[str, int] | None
    create_time: datetime
    update_time: datetime


async def check_histories(orders: Reader, i7: Tally) -> None:
    """Compare each order with the fold of its events; both come in order of the order's id."""
    pairs = side_by_side(
        orders.stream(ORDERS, by=("order_id",)),
        grouped(orders.stream(EVENTS, by=("stream_id", "version")), by="stream_id"),
        left_key=lambda row: row["order_id"],
        right_key=lambda history: history[0]["stream_id"],
    )
    async for row, history in pairs:
        i7.counted += 1
        if row is None:
            i7.violated(f"order {history and history[0]['stream_id']} has events and is not there")
        elif history is None:
            i7.violated(f"order {row['order_id']} has no events")
        else:
            for sentence in differences(row, history):
                i7.violated(f"order {row['order_id']} {sentence}")


def differences(row: asyncpg.Record, history: Sequence[asyncpg.Record]) -> Iterator[str]:
    """Yield a sentence for each violation in an order's row or its events."""
    order_id = row["order_id"]
    try:
        recorded = [recorded_of(event) for event in history]
        folds = [fold(order_id, recorded[:length]) for length in range(1, len(recorded) + 1)]
    except UNREADABLE as error:
        yield f"has events that make no order: {error}"
        return
    for event, folded in zip(history, folds, strict=True):
        try:
            is_same = content_of_event(event) == content_of_order(folded)
        except UNREADABLE:
            is_same = False
        if not is_same:
            yield f"differs from the content of event {event['event_id']}, its version {event['version']}"
    try:
        is_fold = order_of(row) == folds[-1] and row["line_count"] == len(folds[-1].lines)
    except UNREADABLE:
        is_fold = False
    if not is_fold:
        yield f"is not the fold of its {len(history)} events"


def content_of_event(event: asyncpg.Record) -> EventContent:
    """Return the content of an event's row. Raises one of UNREADABLE."""
    meta = orjson.loads(event["meta"])
    total = (meta["currency_code"], meta["total_minor"]) if "total_minor" in meta else None
    create_time = datetime.fromisoformat(meta["create_time"])
    return EventContent(
        UUID(meta["customer_id"]), meta["state"], meta["line_count"], total, create_time, event["occur_time"]
    )


def content_of_order(order: Order) -> EventContent:
    """Return the content that an order's latest event must have."""
    total = (order.total.currency_code, order.total.minor_units) if order.total else None
    state, count = order.state.value, len(order.lines)
    return EventContent(order.customer_id, state, count, total, order.create_time, order.update_time)
