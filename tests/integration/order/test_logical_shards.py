"""Logical shards in the order database: each row has its customer's, including rows from before the migration."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.infra.idempotency import first_form
from services.infra.migrations import migrate
from services.local.servers.databases import Databases
from services.order.api import CancelOrder, GetOrder, OrderLine, OrderState, PlaceOrder
from services.order.domain.logical_shard import logical_shard_in, logical_shard_of
from tests.contract.shop import Shop, open_shop, place, request_id, stock
from tests.integration.order.conftest import assert_sound
from tests.postgres import MIGRATIONS, PostgresServer

TABLES = ("orders", "order_lines", "events", "outbox", "sagas", "idempotency_keys")
# The migrations of the schema before logical shards.
BEFORE = ("0001_orders.sql", "0002_events.sql", "0003_parked_sagas.sql", "0004_consistency_token_keys.sql")
# Purpose: what the release before stored for a new order of two lines: $1 order, $2 customer, $3 request, $4 digest.
PLACED = """
    WITH keyed AS (INSERT INTO idempotency_keys (scope, request_id, digest, resource_id) VALUES ($2::text, $3, $4, $1)),
    placed AS (INSERT INTO orders (order_id, customer_id, state, version, line_count, create_time, update_time)
        VALUES ($1, $2::text::uuid, 'PENDING', 1, 2, '2026-01-01Z', '2026-01-01Z')),
    lines AS (INSERT INTO order_lines (order_id, line_number, sku, quantity) VALUES ($1, 1, 'A', 1), ($1, 2, 'B', 2)),
    stored AS (INSERT INTO events (stream_id, version, type, schema_version, data, meta, occur_time)
        VALUES ($1, 1, 'order.placed', 1, jsonb_build_object('customer_id', $2::text, 'lines',
            '[{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 2}]'::jsonb), jsonb_build_object('traceparent', '',
            'customer_id', $2::text, 'create_time', '2026-01-01T00:00:00+00:00', 'line_count', 2, 'state', 'PENDING'),
            '2026-01-01Z')),
    queued AS (INSERT INTO outbox (stream_id, version) VALUES ($1, 1))
    INSERT INTO sagas (order_id, due_time) VALUES ($1, now())"""


@pytest.fixture
def command() -> PlaceOrder:
    """Return the command of the order that the release before stored."""
    return PlaceOrder(request_id(), uuid4(), (OrderLine("A", 1), OrderLine("B", 2)))


@pytest.fixture
async def old_id(command: PlaceOrder) -> UUID:
    """Return the id of that order, as the release before made it."""
    return uuid4()


@pytest.fixture
async def old_shop(
    postgres_server: PostgresServer, clean_databases: None, tmp_path: Path, command: PlaceOrder, old_id: UUID
) -> AsyncIterator[Shop]:
    """Open a shop on an order database that held an order, just placed, before it was migrated."""
    name = f"old_{uuid4().hex[:8]}"
    databases = Databases(postgres_server.admin_dsn)
    dsn = (await databases.create([name]))[name]
    (folder,) = MIGRATIONS["order"]
    for file in BEFORE:
        shutil.copy(folder / file, tmp_path)
    await migrate(dsn, tmp_path)
    connection = await asyncpg.connect(dsn)
    try:
        arguments = (old_id, str(command.customer_id), command.request_id, first_form(command))
        await connection.execute(PLACED, *arguments)
    finally:
        await connection.close()
    assert await migrate(dsn, folder)
    async with open_shop("in_process", {**postgres_server.dsns, "order": dsn}) as opened:
        await stock(opened, A=10, B=10)
        yield opened
    await databases.drop([name])


async def shards(shop: Shop) -> dict[str, set[int]]:
    """Return the logical shards in each table."""
    found = {}
    for table in TABLES:
        rows = await shop.order_database.fetch("SELECT", f"SELECT DISTINCT logical_shard FROM {table}")
        found[table] = {row["logical_shard"] for row in rows}
    return found


async def test_migration_gives_each_row_the_shard_of_its_customer(old_shop: Shop, command: PlaceOrder) -> None:
    """In every table of an order."""
    assert await shards(old_shop) == {table: {logical_shard_of(command.customer_id)} for table in TABLES}


async def test_order_with_an_old_id_is_read_repeated_and_cancelled(
    old_shop: Shop, command: PlaceOrder, old_id: UUID
) -> None:
    """By its id, and by the request that placed it."""
    read = await old_shop.orders.get_order(GetOrder(command.customer_id, old_id))
    assert (read.order_id, read.version) == (old_id, 1)
    repeated = await old_shop.orders.place_order(command)
    assert (repeated.order_id, repeated.state) == (old_id, OrderState.CONFIRMED)
    cancelled = await old_shop.orders.cancel_order(CancelOrder(request_id(), command.customer_id, old_id))
    assert cancelled.state is OrderState.CANCELLED
    await assert_sound(old_shop)


async def test_order_with_an_old_id_is_settled_by_the_saga_worker(
    old_shop: Shop, command: PlaceOrder, old_id: UUID
) -> None:
    """Its saga survived the migration."""
    await old_shop.settle()
    read = await old_shop.orders.get_order(GetOrder(command.customer_id, old_id))
    assert read.state is OrderState.CONFIRMED
    await assert_sound(old_shop)


async def test_rows_of_a_new_order_are_in_the_shard_of_its_customer(shop: Shop) -> None:
    """And so says its id."""
    await stock(shop, A=1)
    command = place(A=2)
    with pytest.raises(Exception, match="stored and rejected"):
        await shop.orders.place_order(command)
    await stock(shop, A=5)
    sold = await shop.orders.place_order(place(command.customer_id, A=2))
    shard = logical_shard_of(command.customer_id)
    assert logical_shard_in(sold.order_id) == shard
    assert await shards(shop) == {table: {shard} for table in TABLES} | {"sagas": set()}


async def test_database_rejects_an_order_in_the_shard_of_another(shop: Shop) -> None:
    """A row that the map does not lead to would be lost."""
    await stock(shop, A=5)
    await shop.orders.place_order(place(A=2))
    with pytest.raises(asyncpg.CheckViolationError, match="orders_shard_of_customer"):
        async with shop.order_database.transaction("test") as transaction:
            await transaction.execute("UPDATE", "UPDATE orders SET logical_shard = (logical_shard + 1) % 256")


async def test_database_refuses_an_id_that_names_another_shard(shop: Shop) -> None:
    """Who knows only the id would look in the wrong place."""
    await stock(shop, A=5)
    await shop.orders.place_order(place(A=2))
    update = """
        UPDATE orders SET order_id =
            overlay(order_id::text PLACING lpad(to_hex(255 - logical_shard), 2, '0') FROM 17)::uuid"""
    with pytest.raises(asyncpg.CheckViolationError, match="orders_shard_of_id"):
        async with shop.order_database.transaction("test") as transaction:
            await transaction.execute("UPDATE", update)
