"""Database sessions of a move, and the code that its steps on both servers share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self, TypeAlias

import asyncpg

from services.infra.crash_points import crash_points

CONNECT_SECONDS = 5.0
# Limit of one statement: a copied logical shard is put in order, or deleted, in one.
STATEMENT_SECONDS = 600
# Requests to the same tables wait behind a lock that a move waits for.
LOCK_SECONDS = 0.2
# Name of the publication and of the subscription.
NAME = "shard_move"
TABLES = ("orders", "order_lines", "events", "outbox", "sagas", "idempotency_keys")

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class MoveRefused(Exception):
    """A move cannot begin, or another process has continued it."""


@dataclass(frozen=True, slots=True)
class Move:
    """A move that is under way.

    logical_shard: what is moved.
    source, target: numbers of the servers.
    epoch: that of the map which the move makes.
    flipped: whether that map is stored.
    """

    logical_shard: int
    source: int
    target: int
    epoch: int
    flipped: bool


class MoveSession:
    """One connection to a server of orders, for a move."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str) -> AsyncIterator[Self]:
        """Connect during a with block. Raises OSError, asyncpg.PostgresError."""
        limits = {"statement_timeout": f"{STATEMENT_SECONDS}s", "lock_timeout": f"{LOCK_SECONDS}s"}
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_SECONDS, command_timeout=2 * STATEMENT_SECONDS, server_settings=limits
        )
        try:
            yield cls(connection)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[Connection]:
        """Run a with block in one transaction, with crash points around its COMMIT."""
        async with self.connection.transaction():
            yield self.connection
            crash_points.reached(f"{name}.before_commit")
        crash_points.reached(f"{name}.after_commit")


async def delete_rows(connection: Connection, logical_shard: int) -> None:
    """Delete all rows of a logical shard, in the caller's transaction."""
    for table in TABLES:
        await connection.execute(f"DELETE FROM {table} WHERE logical_shard = $1", logical_shard)  # noqa: S608  # constants
