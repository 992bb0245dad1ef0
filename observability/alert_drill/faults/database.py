"""What can go wrong in a database? Somebody locks a table, closes a database, or changes a row by hand."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from observability.alert_drill.fault_context import Begin, FaultContext
from observability.alert_drill.faults.traffic import as_customer
from observability.load.stock_plan import PlannedDelivery
from observability.load.stocking import stock_shop
from services.local.servers.ports import local_address

LOCKED_SKU = "DRILL-LOCKED"

# What a person wrote to the log by hand; no consumer can read it.
POISON = """
    WITH head AS (UPDATE event_log_head SET position = position + 1 RETURNING position)
    INSERT INTO event_log (position, event_id, type, aggregate_id, aggregate_version, occur_time, traceparent, data)
    SELECT position, gen_random_uuid(), 'order.completed', gen_random_uuid(), 1, now(), '', '\\xff' FROM head"""


def locked(database: str, table: str) -> Begin:
    """Somebody's transaction holds a lock on a table, as a forgotten ALTER TABLE does."""

    @asynccontextmanager
    async def begin(scene: FaultContext) -> AsyncIterator[None]:
        async with scene.administering(database) as connection, connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield

    return begin


def closed(database: str) -> Begin:
    """A database takes no connections, and those that it had are ended."""

    @asynccontextmanager
    async def begin(scene: FaultContext) -> AsyncIterator[None]:
        async with scene.administering("postgres") as connection:
            await connection.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
            try:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database
                )
                yield
            finally:
                await connection.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')

    return begin


@asynccontextmanager
async def lease_left_behind(scene: FaultContext) -> AsyncIterator[None]:
    """A relay that is no more holds the lease for another hour."""
    async with scene.administering("order") as connection:
        take = "UPDATE relay SET holder = 'gone', epoch = epoch + 1, lease_end_time = now() + interval '1 hour'"
        await connection.execute(take)
        try:
            yield
        finally:
            await connection.execute("UPDATE relay SET lease_end_time = '-infinity' WHERE holder = 'gone'")


@asynccontextmanager
async def stock_changed_by_hand(scene: FaultContext) -> AsyncIterator[None]:
    """Somebody sets a unit of stock aside by hand, for no reservation."""
    async with scene.administering("inventory") as connection:
        sku = await connection.fetchval("SELECT min(sku) FROM items")
        change = "UPDATE items SET reserved = reserved + $2 WHERE sku = $1"
        await connection.execute(change, sku, 1)
        try:
            yield
        finally:
            await connection.execute(change, sku, -1)


@asynccontextmanager
async def event_nobody_can_read(scene: FaultContext) -> AsyncIterator[None]:
    """An event in the log that no consumer understands; afterwards its dead letters are thrown away."""
    async with scene.administering("event_log") as connection:
        await connection.execute(POISON)
    try:
        yield
    finally:
        for database in ("order_read", "notification"):
            async with scene.administering(database) as connection:
                await connection.execute("DELETE FROM dead_letters")


@asynccontextmanager
async def log_emptied(scene: FaultContext) -> AsyncIterator[None]:
    """The event log loses everything; it is filled again and read again."""
    await scene.group.wipe_log()
    yield


@asynccontextmanager
async def deadlock(scene: FaultContext) -> AsyncIterator[None]:
    """Two transactions want two rows in opposite order; the server ends one of them."""
    update = "UPDATE items SET reserved = reserved WHERE sku = $1"
    async with scene.administering("inventory") as one, scene.administering("inventory") as other:
        skus = [row["sku"] for row in await one.fetch("SELECT sku FROM items ORDER BY sku DESC LIMIT 2")]
        first, second = one.transaction(), other.transaction()
        await first.start()
        await second.start()
        await one.execute(update, skus[0])
        await other.execute(update, skus[1])
        outcomes = await asyncio.gather(
            one.execute(update, skus[1]), other.execute(update, skus[0]), return_exceptions=True
        )
        assert any(isinstance(outcome, asyncpg.DeadlockDetectedError) for outcome in outcomes), outcomes
        await asyncio.gather(first.rollback(), second.rollback())
        yield


@asynccontextmanager
async def one_order_stuck(scene: FaultContext) -> AsyncIterator[None]:
    """The row of one SKU stays locked, and somebody has ordered it; all others are served."""
    ports, customer = scene.group.ports, str(uuid.uuid4())
    inventory = str(local_address(ports.inventory_grpc))
    await stock_shop(inventory, [PlannedDelivery(LOCKED_SKU, 1_000, 100)], request_id_prefix="locked")
    async with scene.administering("inventory") as connection, connection.transaction():
        await connection.execute("SELECT FROM items WHERE sku = $1 FOR UPDATE", LOCKED_SKU)
        async with as_customer(scene, customer) as session:
            order = {"lines": [{"sku": LOCKED_SKU, "quantity": 1}]}
            async with session.post("/orders", json=order, headers={"Idempotency-Key": customer}) as page:
                page.raise_for_status()
        yield
