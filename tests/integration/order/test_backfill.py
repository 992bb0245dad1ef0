"""Migration of orders from before there were events: each gets the events that lead to its state."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from services.infra.migrations import migrate
from services.local.servers.databases import Databases
from services.order.adapters.event_rows import recorded_of
from services.order.adapters.rows import order_of
from services.order.domain.order import fold
from services.order.workers.event_messages import message_of
from tests.postgres import MIGRATIONS, PostgresServer

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = """
    INSERT INTO orders (order_id, customer_id, state, version, line_count, currency_code, total_minor, rejection,
        create_time, update_time)
    VALUES ($1, gen_random_uuid(), $2, $3, 2, $4, $5, $6, $7, $8)"""
LINES = """
    INSERT INTO order_lines (order_id, line_number, sku, quantity, currency_code, unit_price_minor)
    VALUES ($1, 1, 'B', 2, $2, $3), ($1, 2, 'A', 1, $2, $3)"""
READ = """
    SELECT o.*, l.* FROM orders o, LATERAL (
        SELECT array_agg(sku ORDER BY line_number) AS skus, array_agg(quantity ORDER BY line_number) AS quantities,
            array_agg(currency_code ORDER BY line_number) AS currencies,
            array_agg(unit_price_minor ORDER BY line_number) AS prices
        FROM order_lines WHERE order_id = o.order_id) l"""
REJECTION = orjson.dumps({"reason": "SKU_NOT_FOUND", "shortages": [], "skus": ["A"]}).decode()
# State, version, currency, total, rejection, price of a unit: every state that the first schema could hold.
OLD = {
    "pending": ("PENDING", 1, None, None, None, None),
    "confirmed": ("CONFIRMED", 2, "GBP", 750, None, 250),
    "rejected": ("REJECTED", 2, None, None, REJECTION, None),
    "cancelled_before_the_sale": ("CANCELLED", 2, None, None, None, None),
    "cancelled_after_the_sale": ("CANCELLED", 3, "GBP", 750, None, 250),
}


@pytest.fixture
async def old_database(postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[asyncpg.Connection]:
    """Return a migrated database that had one order in every state of the first schema."""
    name = f"old_{uuid4().hex[:8]}"
    databases = Databases(postgres_server.admin_dsn)
    dsn = (await databases.create([name]))[name]
    (folder,) = MIGRATIONS["order"]
    shutil.copy(folder / "0001_orders.sql", tmp_path)
    await migrate(dsn, tmp_path)
    connection = await asyncpg.connect(dsn)
    for state, version, currency, total, rejection, price in OLD.values():
        order_id = uuid4()
        times = (BEGUN, BEGUN + timedelta(days=version - 1))
        await connection.execute(ORDERS, order_id, state, version, currency, total, rejection, *times)
        await connection.execute(LINES, order_id, currency, price)
    await migrate(dsn, folder)
    yield connection
    await connection.close()
    await databases.drop([name])


async def histories(connection: asyncpg.Connection) -> dict[UUID, list[asyncpg.Record]]:
    """Return each order's rows of `events`, in order."""
    found: dict[UUID, list[asyncpg.Record]] = {}
    for row in await connection.fetch("SELECT * FROM events ORDER BY sequence"):
        found.setdefault(row["stream_id"], []).append(row)
    return found


async def test_each_order_is_the_fold_of_the_events_it_was_given(old_database: asyncpg.Connection) -> None:
    """Lines, prices, total, rejection, times and version."""
    orders = [order_of(row) for row in await old_database.fetch(READ)]
    events = await histories(old_database)
    assert len(orders) == len(OLD)
    for order in orders:
        assert fold(order.order_id, [recorded_of(row) for row in events[order.order_id]]) == order


async def test_the_events_are_published(old_database: asyncpg.Connection) -> None:
    """All wait in the outbox, in order of version, and each can be read as a message."""
    rows = await old_database.fetch("SELECT events.* FROM outbox JOIN events USING (stream_id, version)")
    assert len(rows) == sum(version for _, version, *_ in OLD.values())
    assert {message_of(row).type for row in rows} == {
        "order.placed",
        "order.completed",
        "order.rejected",
        "order.cancelled",
    }
    for history in (await histories(old_database)).values():
        assert [row["version"] for row in history] == list(range(1, len(history) + 1))


async def test_pending_orders_are_finished(old_database: asyncpg.Connection) -> None:
    """It has a saga that is due; the others have none."""
    rows = await old_database.fetch("SELECT state, due_time <= now() AS due FROM sagas JOIN orders USING (order_id)")
    assert [tuple(row) for row in rows] == [("PENDING", True)]
