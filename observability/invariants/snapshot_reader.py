"""Snapshot reader: reads large tables at one moment in bounded memory, as streams ordered by a key."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import asyncpg

from observability.invariants.target import MOST_LISTED, Tally

CONNECT_SECONDS = 10.0
PREFETCH = 2_000

Rows: TypeAlias = AsyncIterator[asyncpg.Record]
Left = TypeVar("Left")
Right = TypeVar("Right")


@dataclass(frozen=True, slots=True)
class Reader:
    """One database: as of one moment from `snapshot`, or as of each query from `reader`."""

    connection: "asyncpg.Connection[asyncpg.Record]"

    async def rows(self, select: str, *arguments: object) -> list[asyncpg.Record]:
        """Return all rows of a small query."""
        return await self.connection.fetch(select, *arguments)

    async def count(self, select: str, *arguments: object) -> int:
        """Return one number."""
        number: int = await self.connection.fetchval(select, *arguments)
        return number

    async def stream(self, select: str) -> Rows:
        """Yield the rows of a large query; only in a snapshot."""
        async for row in self.connection.cursor(select, prefetch=PREFETCH):
            yield row

    async def count_violations(self, tally: Tally, clauses: Mapping[str, str]) -> None:
        """Add the violations of each clause: every row of its query is one, described by its columns."""
        for clause, select in clauses.items():
            # Purpose: count all violations, and return only those that are listed.
            found = f"SELECT *, count(*) OVER () AS found FROM ({select}) violation LIMIT {MOST_LISTED}"
            rows = await self.rows(found)
            for number, row in enumerate(rows):
                what = ", ".join(f"{name} {value}" for name, value in row.items() if name != "found")
                times = row["found"] - len(rows) + 1 if number == 0 else 1
                tally.violated(f"{clause}: {what}", times=times)


@asynccontextmanager
async def reader(dsn: str) -> AsyncIterator[Reader]:
    """Yield a reader of a database as it is at each query."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        yield Reader(connection)
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[Reader]:
    """Yield a reader of a database as of now, during the with block."""
    async with reader(dsn) as found, found.connection.transaction(isolation="repeatable_read", readonly=True):
        # The roles' timeouts are for requests; a check of all rows may take longer.
        await found.connection.execute("SET LOCAL statement_timeout = 0")
        await found.connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await found.connection.execute("SET LOCAL work_mem = '64MB'")
        # The first query takes the snapshot; BEGIN and SET do not.
        await found.connection.execute("SELECT now()")
        yield found


async def side_by_side(
    left: AsyncIterator[Left],
    right: AsyncIterator[Right],
    *,
    left_key: Callable[[Left], Any],
    right_key: Callable[[Right], Any],
) -> AsyncIterator[tuple[Left | None, Right | None]]:
    """Yield the items of two streams in order of their keys, equal keys together; a stream has each key once."""
    a, b = await anext(left, None), await anext(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and left_key(a) < right_key(b)):
            yield a, None
            a = await anext(left, None)
        elif a is None or right_key(b) < left_key(a):
            yield None, b
            b = await anext(right, None)
        else:
            yield a, b
            a, b = await anext(left, None), await anext(right, None)


async def grouped(rows: Rows, *, by: str) -> AsyncIterator[list[asyncpg.Record]]:
    """Yield consecutive rows with the same value in a column as one group."""
    group: list[asyncpg.Record] = []
    async for row in rows:
        if group and group[0][by] != row[by]:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
