"""Faults of a database: a locked table, a database without connections, or a row changed by hand."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from observability.alert_drill.fault_context import Begin, FaultContext
from observability.alert_drill.faults.traffic import as_customer, placed
from observability.load.stock_plan import PlannedDelivery
from observability.load.stocking import stock_shop
from services.local.servers.ports import local_address

END_SECONDS = 15.0
LOCKED_SKU = "DRILL-LOCKED"

# Purpose: an event written to the log by hand, which no consumer can read.
POISON = """
    WITH head AS (UPDATE event_log_head SET position = position + 1 RETURNING position)
    INSERT INTO event_log (position, event_id, type, aggregate_id, aggregate_version, occur_time, traceparent, data)
    SELECT position, gen_random_uuid(), 'order.completed', gen_random_uuid(), 1, now(), '', '\\xff' FROM head"""


def locked(database: str, table: str) -> Begin:
    """Return a fault in which a transaction holds a lock on a table, like a forgotten ALTER TABLE."""

    @asynccontextmanager
    async def begin(context: FaultContext) -> AsyncIterator[None]:
        async with context.administering(database) as connection, connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield

    return begin


def closed(database: str) -> Begin:
    """Return a fault in which a database rejects new connections, and its open ones are ended."""

    @asynccontextmanager
    async def begin(context: FaultContext) -> AsyncIterator[None]:
        async with context.administering("postgres") as connection:
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
async def lease_of_dead_relay(context: FaultContext) -> AsyncIterator[None]:
    """Give the relay's lease to a dead relay for another hour."""
    async with context.administering("order") as connection:
        take = "UPDATE relay SET holder = 'gone', epoch = epoch + 1, lease_end_time = now() + interval '1 hour'"
        await connection.execute(take)
        try:
            yield
        finally:
            await connection.execute("UPDATE relay SET lease_end_time = '-infinity' WHERE holder = 'gone'")


@asynccontextmanager
async def stock_changed_by_hand(context: FaultContext) -> AsyncIterator[None]:
    """Reserve a unit of stock by hand, without a reservation."""
    async with context.administering("inventory") as connection:
        sku = await connection.fetchval("SELECT min(sku) FROM items")
        change = "UPDATE items SET reserved = reserved + $2 WHERE sku = $1"
        await connection.execute(change, sku, 1)
        try:
            yield
        finally:
            await connection.execute(change, sku, -1)


@asynccontextmanager
async def unreadable_event(context: FaultContext) -> AsyncIterator[None]:
    """Append an event that no consumer can read; afterwards delete its dead letters."""
    async with context.administering("event_log") as connection:
        await connection.execute(POISON)
    try:
        yield
    finally:
        for database in ("order_read", "notification"):
            async with context.administering(database) as connection:
                await connection.execute("DELETE FROM dead_letters")


@asynccontextmanager
async def log_emptied(context: FaultContext) -> AsyncIterator[None]:
    """Empty the event log, which is then republished and consumed again."""
    await context.group.wipe_log()
    yield


@asynccontextmanager
async def deadlock(context: FaultContext) -> AsyncIterator[None]:
    """Lock two rows in opposite order in two transactions, one of which the server ends."""
    update = "UPDATE items SET reserved = reserved WHERE sku = $1"
    async with context.administering("inventory") as one, context.administering("inventory") as other:
        skus = [case["sku"] for case in await one.fetch("SELECT sku FROM items ORDER BY sku DESC LIMIT 2")]
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
async def order_stuck(context: FaultContext) -> AsyncIterator[None]:
    """Lock the row of one SKU and order it; orders of other SKUs are served."""
    inventory = str(local_address(context.group.ports.inventory_grpc))
    await stock_shop(inventory, [PlannedDelivery(LOCKED_SKU, 1_000, 100)], request_id_prefix="locked")
    async with context.administering("inventory") as connection, connection.transaction():
        await connection.execute("SELECT FROM items WHERE sku = $1 FOR UPDATE", LOCKED_SKU)
        async with as_customer(context, str(uuid.uuid4())) as session:
            await placed(session, LOCKED_SKU)
        yield


@asynccontextmanager
async def replay_paused(context: FaultContext) -> AsyncIterator[None]:
    """Let a replica receive, and replay nothing."""
    (replica, *_) = context.group.foundation.replicas
    connection = await asyncpg.connect(replica.admin_dsn)
    try:
        await connection.execute("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            await connection.execute("SELECT pg_wal_replay_resume()")
    finally:
        await connection.close()


@asynccontextmanager
async def replica_ended(context: FaultContext) -> AsyncIterator[None]:
    """End a replica's server, and start it again."""
    (replica, *_) = context.group.foundation.replicas
    await replica.process.end_by(signal.SIGQUIT, limit_seconds=END_SECONDS)
    try:
        yield
    finally:
        await replica.restart()
