"""How are large tables read at one moment, in bounded memory? A snapshot each, rows as streams in order of a key."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import asyncpg

from observability.invariants.target import MOST_TOLD, Tally

CONNECT_SECONDS = 10.0
PREFETCH = 2_000

Rows: TypeAlias = AsyncIterator[asyncpg.Record]
Left = TypeVar("Left")
Right = TypeVar("Right")


@dataclass(frozen=True, slots=True)
class Reader:
    """One database: at one moment from `snapshot`, at the moment of each question from `reader`."""

    connection: "asyncpg.Connection[asyncpg.Record]"

    async def rows(self, select: str, *arguments: object) -> list[asyncpg.Record]:
        """Return a few rows."""
        return await self.connection.fetch(select, *arguments)

    async def count(self, select: str, *arguments: object) -> int:
        """Return one number."""
        number: int = await self.connection.fetchval(select, *arguments)
        return number

    async def stream(self, select: str) -> Rows:
        """Yield many rows; of a snapshot only."""
        async for row in self.connection.cursor(select, prefetch=PREFETCH):
            yield row

    async def ask(self, tally: Tally, clauses: Mapping[str, str]) -> None:
        """Note what each clause's query finds: every row breaks it, and its columns say how."""
        for clause, select in clauses.items():
            # Purpose: all are counted by the database, and only those that are told come here.
            found = f"SELECT *, count(*) OVER () AS found FROM ({select}) violation LIMIT {MOST_TOLD}"
            rows = await self.rows(found)
            for number, row in enumerate(rows):
                what = ", ".join(f"{name} {value}" for name, value in row.items() if name != "found")
                times = row["found"] - len(rows) + 1 if number == 0 else 1
                tally.violated(f"{clause}: {what}", times=times)


@asynccontextmanager
async def reader(dsn: str) -> AsyncIterator[Reader]:
    """Give a database as it is at each question."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        yield Reader(connection)
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[Reader]:
    """Give a database as it is now, however long it is looked at."""
    async with reader(dsn) as found, found.connection.transaction(isolation="repeatable_read", readonly=True):
        # The roles' own limits are for requests; a look at everything takes as long as it takes.
        await found.connection.execute("SET LOCAL statement_timeout = 0")
        await found.connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await found.connection.execute("SET LOCAL work_mem = '64MB'")
        # Neither BEGIN nor SET fixes the moment; the first query does.
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
    """Yield the rows of a stream that follow each other with one value in a column, together."""
    group: list[asyncpg.Record] = []
    async for row in rows:
        if group and group[0][by] != row[by]:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
