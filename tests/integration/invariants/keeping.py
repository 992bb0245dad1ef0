"""Backup and restore of a database's rows, around a test that tampers with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations'"
COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER' ORDER BY ordinal_position"""

NUMBERED = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND pg_get_serial_sequence(quote_ident(table_name), column_name) IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns and rows."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]


async def keep(dsn: str) -> Mapping[str, Table]:
    """Return all rows of a database."""
    connection = await asyncpg.connect(dsn)
    try:
        kept = {}
        for (name,) in await connection.fetch(TABLES):
            columns = tuple(column for (column,) in await connection.fetch(COLUMNS, name))
            rows = await connection.fetch(f'SELECT {", ".join(columns)} FROM "{name}"')
            kept[name] = Table(columns, [tuple(row) for row in rows])
        return kept
    finally:
        await connection.close()


async def put_back(dsn: str, kept: Mapping[str, Table]) -> None:
    """Replace all rows of a database by these."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"TRUNCATE {', '.join(kept)}")
            for name, table in kept.items():
                await connection.copy_records_to_table(name, records=table.rows, columns=table.columns)
            # Purpose: a test that emptied the database meanwhile has let its numbers begin again.
            for name, column in await connection.fetch(NUMBERED):
                last = f"(SELECT coalesce(max({column}), 0) + 1 FROM {name})"
                await connection.execute(f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'), {last}, false)")
    finally:
        await connection.close()


async def tamper(dsn: str, *statements: str) -> None:
    """Change rows without the shop; each statement must change at least one."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            tag = await connection.execute(statement)
            assert tag.startswith("ALTER") or not tag.endswith(" 0"), statement
    finally:
        await connection.close()
