"""Snapshot reader: reads large tables at one moment in bounded memory, as streams ordered by a key."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import asyncpg

from observability.invariants.target import MOST_LISTED, Tally

CONNECT_SECONDS = 10.0
PREFETCH = 2_000

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Rows: TypeAlias = AsyncIterator[asyncpg.Record]
Left = TypeVar("Left")
Right = TypeVar("Right")


@dataclass(frozen=True, slots=True)
class Reader:
    """One database, or several with the same tables: as of one moment from `snapshot`, of each query from `reader`."""

    connections: Sequence[Connection]

    async def rows(self, select: str, *arguments: object) -> list[asyncpg.Record]:
        """Return all rows of a small query."""
        return [row for each in self.connections for row in await each.fetch(select, *arguments)]

    async def count(self, select: str, *arguments: object) -> int:
        """Return one number, the sum of those of several databases."""
        return sum([await each.fetchval(select, *arguments) for each in self.connections])

    async def stream(self, select: str, *, by: Sequence[str]) -> Rows:
        """Yield the rows of a large query, whose order is that of the columns `by`; only in a snapshot."""
        streams = [aiter(each.cursor(select, prefetch=PREFETCH)) for each in self.connections]
        first = {number: row for number, each in enumerate(streams) if (row := await anext(each, None)) is not None}
        while first:
            number = min(first, key=lambda each: tuple(first[each][column] for column in by))
            yield first.pop(number)
            if (row := await anext(streams[number], None)) is not None:
                first[number] = row

    async def count_violations(self, tally: Tally, clauses: Mapping[str, str]) -> None:
        """Add the violations of each clause: every row of its query is one, described by its columns."""
        for clause, select in clauses.items():
            # Purpose: count all violations, and return only those that are listed.
            found = f"SELECT *, count(*) OVER () AS found FROM ({select}) violation LIMIT {MOST_LISTED}"
            for each in self.connections:
                self._count(tally, clause, await each.fetch(found))

    def _count(self, tally: Tally, clause: str, rows: Sequence[asyncpg.Record]) -> None:
        for number, row in enumerate(rows):
            what = ", ".join(f"{name} {value}" for name, value in row.items() if name != "found")
            times = row["found"] - len(rows) + 1 if number == 0 else 1
            tally.violated(f"{clause}: {what}", times=times)


@asynccontextmanager
async def reader(*dsns: str) -> AsyncIterator[Reader]:
    """Yield a reader of databases as they are at each query."""
    async with AsyncExitStack() as stack:
        connections = []
        for dsn in dsns:
            connections.append(await asyncpg.connect(dsn, timeout=CONNECT_SECONDS))
            stack.push_async_callback(connections[-1].close, timeout=CONNECT_SECONDS)
        yield Reader(connections)


@asynccontextmanager
async def snapshot(*dsns: str) -> AsyncIterator[Reader]:
    """Yield a reader of databases as of now, during the with block."""
    async with reader(*dsns) as found, AsyncExitStack() as stack:
        for connection in found.connections:
            await stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
            # The roles' timeouts are for requests; a check of all rows may take longer.
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            await connection.execute("SET LOCAL work_mem = '64MB'")
            # The first query takes the snapshot; BEGIN and SET do not.
            await connection.execute("SELECT now()")
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
