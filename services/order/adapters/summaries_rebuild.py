"""How is the list of orders built anew beside the one that is read? With a table, a cursor and dead letters of its own.

All that a consumer has, so that in the end it takes the live one's place whole, in one transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass

import asyncpg

from services.infra.messaging.consumer import Cursor
from services.infra.postgres import Database, Transaction

REBUILD = "order_summaries_rebuild"
# How CREATE TABLE ... LIKE calls its copy of order_summaries_by_customer.
NAME_BY_LIKE = "order_summaries_rebuild_customer_id_create_time_order_id_idx"
# Any number will do that no other lock in this database has.
LOCK_KEY = 7_074_952
CONNECT_SECONDS = 5.0
# As long as the server may take to notice that an interrupted rebuild is gone.
LOCK_SECONDS = 1


class RebuildRunning(Exception):
    """Another rebuild is at work on this list."""


class NotYet(Exception):
    """The rebuilt list cannot take the place of the live one."""

    def __init__(self, orders_behind: int) -> None:
        super().__init__(orders_behind)
        self.orders_behind = orders_behind  # orders of the live list that the rebuilt one has in an older state or not


@dataclass(frozen=True, slots=True)
class Swap:
    """What a swap changed: rows before and after, and the events that the rebuild could not understand."""

    rows_before: int
    rows_after: int
    parked: int


@asynccontextmanager
async def alone(dsn: str) -> AsyncIterator[None]:
    """Be the only rebuild for the time of a block. Raises RebuildRunning, OSError, asyncpg.PostgresError."""
    # A connection of its own: the lock lives as long as that, and no longer than this process.
    limit = {"lock_timeout": f"{LOCK_SECONDS}s"}
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, server_settings=limit)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY, timeout=CONNECT_SECONDS)
        yield
    except asyncpg.LockNotAvailableError as error:
        raise RebuildRunning from error
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


class SummariesRebuild:
    """The list beside the live one, which the consumer of this name keeps."""

    def __init__(self, *, database: Database, consumer: str) -> None:
        self._database = database
        self._consumer = consumer

    async def cursor(self) -> Cursor | None:
        """Return where an interrupted rebuild stands; None without one."""
        # Purpose: the cursor alone is nothing: whoever changes the list's schema drops the table beside it.
        select = """
            SELECT incarnation, position FROM consumer_cursors
            WHERE consumer = $1 AND to_regclass('order_summaries_rebuild') IS NOT NULL"""
        rows = await self._database.fetch("SELECT consumer_cursors", select, REBUILD)
        return Cursor(**rows[0]) if rows else None

    async def begin(self, incarnation: str) -> Cursor:
        """Begin at the beginning of a log, with an empty list."""
        async with self._database.transaction("rebuild.begin") as transaction:
            await transaction.fetch("DROP TABLE", "DROP TABLE IF EXISTS order_summaries_rebuild")
            # Purpose: the live table's columns, checks and indexes; its fill factor is not a part of LIKE.
            create = """
                CREATE TABLE order_summaries_rebuild (LIKE order_summaries INCLUDING ALL) WITH (fillfactor = 80)"""
            await transaction.fetch("CREATE TABLE", create)
            await transaction.execute("DELETE dead_letters", "DELETE FROM dead_letters WHERE consumer = $1", REBUILD)
            await set_cursor(transaction, REBUILD, begun := Cursor(incarnation, 0))
        return begun

    async def move(self, transaction: Transaction, cursor: Cursor, position: int) -> Cursor:
        """Move on to a position. Raises RebuildRunning when the cursor is not where we read."""
        # Purpose: were the lock lost with its connection, another rebuild may have moved it.
        update = "UPDATE consumer_cursors SET position = $4 WHERE consumer = $1 AND incarnation = $2 AND position = $3"
        arguments = (REBUILD, cursor.incarnation, cursor.position, position)
        if not await transaction.execute("UPDATE consumer_cursors", update, *arguments):
            raise RebuildRunning
        return Cursor(cursor.incarnation, position)

    async def swap(self, cursor: Cursor, *, force: bool) -> Swap:
        """Let the rebuilt list take the live one's place, with its cursor and dead letters.

        Raises NotYet when the live consumer is further in the same log, or an order would vanish or go back to an older
        state: then the log does not hold everything. `force` swaps nevertheless in the second case.
        Raises RebuildRunning when the rebuilt list is another rebuild's by now.
        """
        async with self._database.transaction("rebuild.swap") as transaction:
            # Purpose: whoever waits for the table waits behind us, so we do not wait long ourselves.
            await transaction.fetch("SET lock_timeout", "SET LOCAL lock_timeout = '1s'")
            live = await self._hold_live(transaction)
            if live and live.incarnation == cursor.incarnation and live.position > cursor.position:
                raise NotYet(0)
            before, after, behind = await compare(transaction)
            if behind and not force:
                raise NotYet(behind)
            parked = await self._hand_over_dead_letters(transaction)
            await exchange_tables(transaction)
            await set_cursor(transaction, self._consumer, cursor)
            # Purpose: as in `move`; whoever began another list beside the live one meanwhile has moved it too.
            if not await transaction.execute("DELETE consumer_cursors", DELETE_CURSOR, REBUILD, *astuple(cursor)):
                raise RebuildRunning
        return Swap(before, after, parked)

    async def _hold_live(self, transaction: Transaction) -> Cursor | None:
        """Keep the live consumer and replays of its dead letters where they are until the commit."""
        # Purpose: both in the order in which they take them: first the cursor or the letter, then the list.
        select = "SELECT incarnation, position FROM consumer_cursors WHERE consumer = $1 FOR UPDATE"
        rows = await transaction.fetch("SELECT consumer_cursors", select, self._consumer)
        select = "SELECT FROM dead_letters WHERE consumer = $1 FOR UPDATE"
        await transaction.fetch("SELECT dead_letters", select, self._consumer)
        return Cursor(**rows[0]) if rows else None

    async def _hand_over_dead_letters(self, transaction: Transaction) -> int:
        delete = "DELETE FROM dead_letters WHERE consumer = $1"
        await transaction.execute("DELETE dead_letters", delete, self._consumer)
        update = "UPDATE dead_letters SET consumer = $2 WHERE consumer = $1"
        return await transaction.execute("UPDATE dead_letters", update, REBUILD, self._consumer)


DELETE_CURSOR = "DELETE FROM consumer_cursors WHERE consumer = $1 AND incarnation = $2 AND position = $3"


async def set_cursor(transaction: Transaction, consumer: str, cursor: Cursor) -> None:
    """Put a consumer's cursor somewhere."""
    upsert = """
        INSERT INTO consumer_cursors (consumer, incarnation, position) VALUES ($1, $2, $3)
        ON CONFLICT (consumer) DO UPDATE SET incarnation = excluded.incarnation, position = excluded.position"""
    await transaction.execute("INSERT consumer_cursors", upsert, consumer, cursor.incarnation, cursor.position)


async def compare(transaction: Transaction) -> tuple[int, int, int]:
    """Return the rows of the live list, those of the rebuilt one, and how many of the former are behind in it."""
    # Purpose: an order that is missing in the rebuilt list is as far behind as can be.
    select = """
        SELECT count(live.version) AS before, count(rebuilt.version) AS after,
            count(*) FILTER (WHERE live.version > coalesce(rebuilt.version, 0)) AS behind
        FROM order_summaries live FULL JOIN order_summaries_rebuild rebuilt USING (order_id)"""
    (row,) = await transaction.fetch("SELECT order_summaries count", select)
    return row["before"], row["after"], row["behind"]


async def exchange_tables(transaction: Transaction) -> None:
    """Drop the live table and give its names to the other, and to what hangs on it."""
    # Purpose: a reader that waits for the lock finds the rebuilt table, by name, when it gets it.
    for statement in (
        "DROP TABLE order_summaries",
        "ALTER TABLE order_summaries_rebuild RENAME TO order_summaries",
        "ALTER INDEX order_summaries_rebuild_pkey RENAME TO order_summaries_pkey",
        f"ALTER INDEX {NAME_BY_LIKE} RENAME TO order_summaries_by_customer",
    ):
        await transaction.fetch(" ".join(statement.split()[:2]), statement)
