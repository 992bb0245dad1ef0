"""Fences of logical shards: a server rejects writes of a logical shard that it has handed over.

A fence is a row and two triggers. To make the triggers, PostgreSQL waits for the transactions that have written to
their tables, and lets new ones wait. After the commit nothing is written any more, even by a process with an old map.
"""

import asyncpg

from services.infra.postgres import Database

# SQLSTATE of `reject_fenced_shard`.
FENCED = "SHARD"
# Each write of an order begins with one of these, in this order: the locks of the triggers are taken in the same one.
FENCED_TABLES = ("idempotency_keys", "events")


class ShardFenced(Exception):
    """The server has handed the logical shard over, or does not have it yet: read the shard map again."""


class ShardFences:
    """The fences of one server, checked by a process that reads orders there."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def check(self, logical_shard: int) -> None:
        """Raise ShardFenced unless the server has the logical shard: after a read, unless that was valid."""
        select = "SELECT FROM shard_fences WHERE logical_shard = $1 AND fenced"
        if await self._database.fetch("SELECT shard_fences", select, logical_shard):
            raise ShardFenced

    async def fenced(self) -> frozenset[int]:
        """Return the logical shards that the server does not have, or hands over."""
        rows = await self._database.fetch("SELECT shard_fences", "SELECT logical_shard FROM shard_fences WHERE fenced")
        return frozenset(row["logical_shard"] for row in rows)


def is_fenced(error: asyncpg.PostgresError) -> bool:
    """Return whether a write was rejected by a fence."""
    return error.sqlstate == FENCED


async def raise_fence(connection: "asyncpg.Connection[asyncpg.Record]", logical_shard: int, epoch: int) -> bool:
    """Fence a logical shard, in the caller's transaction; return False if a later move has decided otherwise."""
    # Purpose: a row of a later epoch stays, and so does one of this epoch whose fence was lifted: the move is done.
    upsert = """
        INSERT INTO shard_fences AS fence (logical_shard, epoch) VALUES ($1, $2)
        ON CONFLICT (logical_shard) DO UPDATE SET epoch = excluded.epoch, fenced = true,
            ordered_to = CASE WHEN fence.epoch = excluded.epoch THEN fence.ordered_to END
        WHERE fence.epoch < excluded.epoch OR (fence.epoch = excluded.epoch AND fence.fenced)
        RETURNING true"""
    raised = await connection.fetchval(upsert, logical_shard, epoch)
    if raised:
        await set_triggers(connection)
    return bool(raised)


async def hold_fence(connection: "asyncpg.Connection[asyncpg.Record]", logical_shard: int, epoch: int) -> bool:
    """Keep the fence of a move until the caller's transaction ends; return False if there is none."""
    select = "SELECT true FROM shard_fences WHERE logical_shard = $1 AND epoch = $2 AND fenced FOR SHARE"
    return bool(await connection.fetchval(select, logical_shard, epoch))


async def lift_fence(connection: "asyncpg.Connection[asyncpg.Record]", logical_shard: int, *, epoch: int) -> None:
    """Allow writes of a logical shard, from the map of an epoch on, in the caller's transaction."""
    update = "UPDATE shard_fences SET fenced = false, epoch = $2, ordered_to = NULL WHERE logical_shard = $1"
    await connection.execute(update, logical_shard, epoch)
    await set_triggers(connection)


async def set_triggers(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Let the triggers reject new rows of the logical shards that are fenced now, and of no others."""
    rows = await connection.fetch("SELECT logical_shard FROM shard_fences WHERE fenced ORDER BY logical_shard")
    fenced = ",".join(str(row["logical_shard"]) for row in rows)
    for table in FENCED_TABLES:
        await connection.execute(f"""
            CREATE OR REPLACE TRIGGER shard_fence BEFORE INSERT ON {table} FOR EACH ROW
            WHEN (NEW.logical_shard = ANY ('{{{fenced}}}'::smallint[])) EXECUTE FUNCTION reject_fenced_shard()""")
