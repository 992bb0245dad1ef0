"""The expected list of orders: of each order the fold of its stored events."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

import asyncpg

from services.order.adapters.event_rows import recorded_of
from services.order.domain.events import RecordedEvent
from services.order.domain.order import fold
from tests.contract.shop import Shop

# Customer, version, state, lines, currency, total, and the times of the first and the last event.
Row: TypeAlias = tuple[object, ...]
LIST = """
    SELECT order_id, customer_id, version, state, line_count, currency_code, total_minor, create_time, update_time
    FROM order_summaries"""


async def histories(shop: Shop) -> Mapping[UUID, Sequence[RecordedEvent]]:
    """Return each order's events as they are stored."""
    found: dict[UUID, list[RecordedEvent]] = {}
    for row in await shop.order_database.fetch("SELECT", "SELECT * FROM events ORDER BY stream_id, version"):
        found.setdefault(row["stream_id"], []).append(recorded_of(row))
    return found


def folded(order_id: UUID, history: Sequence[RecordedEvent]) -> Row:
    """Return the row that an order has after these events."""
    order = fold(order_id, history)
    money = (order.total.currency_code, order.total.minor_units) if order.total else (None, None)
    size = len(order.lines)
    return order.customer_id, order.version, order.state.value, size, *money, order.create_time, order.update_time


async def all_folded(shop: Shop) -> Mapping[UUID, Row]:
    """Return the whole list as it must be at rest."""
    return {order_id: folded(order_id, history) for order_id, history in (await histories(shop)).items()}


async def listed(shop: Shop) -> Mapping[UUID, Row]:
    """Return the list as it is."""
    return by_order(await shop.databases["order_read"].fetch("SELECT", LIST))


def by_order(rows: Sequence[asyncpg.Record]) -> Mapping[UUID, Row]:
    """Return rows of the list by their order."""
    return {row["order_id"]: tuple(row)[1:] for row in rows}
