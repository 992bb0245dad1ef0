"""Table dump: writes every table of every database as CSV, as evidence of a violation."""

from collections.abc import Mapping
from pathlib import Path

import asyncpg

_TIMEOUT_SECONDS = 60.0


async def dump_databases(databases: Mapping[str, str], folder: Path) -> None:
    """Write each table of each database to FOLDER/DATABASE/TABLE.csv."""
    for name, dsn in databases.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_SECONDS)
        try:
            rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in rows:
                path = folder / name / f"{table}.csv"
                await connection.copy_from_table(
                    table, output=path, format="csv", header=True, timeout=_TIMEOUT_SECONDS
                )
        finally:
            await connection.close(timeout=_TIMEOUT_SECONDS)
