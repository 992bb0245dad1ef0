"""Storage for rebuilding the order lists: a second table, cursor and dead letters, swapped in when complete.

These are all that a consumer has, so that one transaction can swap them with the live ones.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass

import asyncpg

from services.infra.messaging.consumer import Cursor, cursor_name
from services.infra.postgres import Database, Transaction

REBUILD = "order_summaries_rebuild"
# The name that CREATE TABLE ... LIKE gives its copy of order_summaries_by_customer.
NAME_BY_LIKE = "order_summaries_rebuild_customer_id_create_time_order_id_idx"
# Any number that no other advisory lock in this database uses.
LOCK_KEY = 7_074_952
CONNECT_SECONDS = 5.0
# The server may take this long to notice that an interrupted rebuild has lost its connection.
LOCK_SECONDS = 1


class RebuildRunning(Exception):
    """Another rebuild of the lists is running."""


class NotYet(Exception):
    """The rebuilt list is behind the live one, so it cannot replace it."""

    def __init__(self, orders_behind: int) -> None:
        super().__init__(orders_behind)
        self.orders_behind = orders_behind  # orders that the rebuilt list lacks, or has in an older version


@dataclass(frozen=True, slots=True)
class Swap:
    """What a swap changed.

    rows_before: rows of the list before it.
    rows_after: rows of the list after it.
    parked: events that the rebuild parked as dead letters.
    """

    rows_before: int
    rows_after: int
    parked: int


@asynccontextmanager
async def alone(dsn: str) -> AsyncIterator[None]:
    """Hold the lock of rebuilds during a with block. Raises RebuildRunning, OSError, asyncpg.PostgresError."""
    # On a connection of its own: the server releases the lock when the connection or this process ends.
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
    """The rebuilt list; `consumer` is the name of the consumer that updates the live one."""

    def __init__(self, *, database: Database, consumer: str) -> None:
        self._database = database
        self._consumer = consumer

    async def cursors(self, logs: int) -> list[Cursor]:
        """Return the cursors of an interrupted rebuild, one for each log; none without one of all these logs."""
        # Purpose: the cursors count only with their table: a migration of the list's schema drops that table.
        select = """
            SELECT consumer, incarnation, position FROM consumer_cursors
            WHERE consumer = ANY($1) AND to_regclass('order_summaries_rebuild') IS NOT NULL"""
        names = cursor_names(REBUILD, logs)
        rows = await self._database.fetch("SELECT consumer_cursors", select, names)
        found = by_consumer(rows)
        return [found[name] for name in names] if len(found) == logs else []

    async def begin(self, incarnations: Sequence[str]) -> list[Cursor]:
        """Begin at the beginning of each log, with an empty list."""
        async with self._database.transaction("rebuild.begin") as transaction:
            await transaction.fetch("DROP TABLE", "DROP TABLE IF EXISTS order_summaries_rebuild")
            # Purpose: the live table's columns, checks and indexes; its fill factor is not a part of LIKE.
            create = """
                CREATE TABLE order_summaries_rebuild (LIKE order_summaries INCLUDING ALL) WITH (fillfactor = 80)"""
            await transaction.fetch("CREATE TABLE", create)
            await transaction.execute("DELETE dead_letters", "DELETE FROM dead_letters WHERE consumer = $1", REBUILD)
            begun = [Cursor(incarnation, 0) for incarnation in incarnations]
            for name, cursor in zip(cursor_names(REBUILD, len(begun)), begun, strict=True):
                await set_cursor(transaction, name, cursor)
        return begun

    async def move(self, transaction: Transaction, log: int, cursor: Cursor, position: int) -> Cursor:
        """Advance the cursor of a log to a position. Raises RebuildRunning when another rebuild has moved it."""
        # Purpose: checks the old position: if the lock was lost with its connection, another rebuild may be running.
        update = "UPDATE consumer_cursors SET position = $4 WHERE consumer = $1 AND incarnation = $2 AND position = $3"
        arguments = (cursor_name(REBUILD, log), cursor.incarnation, cursor.position, position)
        if not await transaction.execute("UPDATE consumer_cursors", update, *arguments):
            raise RebuildRunning
        return Cursor(cursor.incarnation, position)

    async def swap(self, cursors: Sequence[Cursor], *, force: bool) -> Swap:
        """Replace the live list, its cursors and its dead letters by the rebuilt ones.

        Raises NotYet when the live consumer is further in one of the same logs, or when an order would vanish or return
        to an older state, since a log lacks events. `force` swaps nevertheless in the second case.
        Raises RebuildRunning when another rebuild owns the rebuilt list by now.
        """
        async with self._database.transaction("rebuild.swap") as transaction:
            # Purpose: readers of the table queue behind this lock, so it must not wait long itself.
            await transaction.fetch("SET lock_timeout", "SET LOCAL lock_timeout = '1s'")
            names = cursor_names(self._consumer, len(cursors))
            held = await self._hold_live(transaction, names)
            for name, cursor in zip(names, cursors, strict=True):
                live = held.get(name)
                if live and live.incarnation == cursor.incarnation and live.position > cursor.position:
                    raise NotYet(0)
            before, after, behind = await compare(transaction)
            if behind and not force:
                raise NotYet(behind)
            parked = await self._hand_over_dead_letters(transaction)
            await exchange_tables(transaction)
            for log, (name, cursor) in enumerate(zip(names, cursors, strict=True)):
                await set_cursor(transaction, name, cursor)
                # Purpose: as in `move`: another rebuild that began meanwhile has changed the cursor.
                own = cursor_name(REBUILD, log)
                if not await transaction.execute("DELETE consumer_cursors", DELETE_CURSOR, own, *astuple(cursor)):
                    raise RebuildRunning
        return Swap(before, after, parked)

    async def _hold_live(self, transaction: Transaction, names: Sequence[str]) -> dict[str, Cursor]:
        """Lock out the live consumer and replays of its dead letters until the commit; return the live cursors."""
        # Purpose: consumer and replays lock in the same order (a cursor or letter, then the list): no deadlock.
        select = """
            SELECT consumer, incarnation, position FROM consumer_cursors WHERE consumer = ANY($1)
            ORDER BY consumer FOR UPDATE"""
        rows = await transaction.fetch("SELECT consumer_cursors", select, list(names))
        select = "SELECT FROM dead_letters WHERE consumer = $1 FOR UPDATE"
        await transaction.fetch("SELECT dead_letters", select, self._consumer)
        return by_consumer(rows)

    async def _hand_over_dead_letters(self, transaction: Transaction) -> int:
        delete = "DELETE FROM dead_letters WHERE consumer = $1"
        await transaction.execute("DELETE dead_letters", delete, self._consumer)
        update = "UPDATE dead_letters SET consumer = $2 WHERE consumer = $1"
        return await transaction.execute("UPDATE dead_letters", update, REBUILD, self._consumer)


DELETE_CURSOR = "DELETE FROM consumer_cursors WHERE consumer = $1 AND incarnation = $2 AND position = $3"


def cursor_names(consumer: str, logs: int) -> list[str]:
    """Return the names of a consumer's cursors in so many logs."""
    return [cursor_name(consumer, log) for log in range(logs)]


def by_consumer(rows: Sequence[asyncpg.Record]) -> dict[str, Cursor]:
    """Return the cursors in rows of `consumer_cursors`, by name."""
    return {row["consumer"]: Cursor(row["incarnation"], row["position"]) for row in rows}


async def set_cursor(transaction: Transaction, consumer: str, cursor: Cursor) -> None:
    """Set a consumer's cursor."""
    upsert = """
        INSERT INTO consumer_cursors (consumer, incarnation, position) VALUES ($1, $2, $3)
        ON CONFLICT (consumer) DO UPDATE SET incarnation = excluded.incarnation, position = excluded.position"""
    await transaction.execute("INSERT consumer_cursors", upsert, consumer, cursor.incarnation, cursor.position)


async def compare(transaction: Transaction) -> tuple[int, int, int]:
    """Return the rows of the live list, the rows of the rebuilt one, and how many orders are behind in the latter."""
    # Purpose: an order that the rebuilt list lacks counts as behind.
    select = """
        SELECT count(live.version) AS before, count(rebuilt.version) AS after,
            count(*) FILTER (WHERE live.version > coalesce(rebuilt.version, 0)) AS behind
        FROM order_summaries live FULL JOIN order_summaries_rebuild rebuilt USING (order_id)"""
    (row,) = await transaction.fetch("SELECT order_summaries count", select)
    return row["before"], row["after"], row["behind"]


async def exchange_tables(transaction: Transaction) -> None:
    """Drop the live table, and rename the rebuilt table and its indexes."""
    # Purpose: a reader that waits for the lock then finds the rebuilt table, by its name.
    for statement in (
        "DROP TABLE order_summaries",
        "ALTER TABLE order_summaries_rebuild RENAME TO order_summaries",
        "ALTER INDEX order_summaries_rebuild_pkey RENAME TO order_summaries_pkey",
        f"ALTER INDEX {NAME_BY_LIKE} RENAME TO order_summaries_by_customer",
    ):
        await transaction.fetch(" ".join(statement.split()[:2]), statement)
