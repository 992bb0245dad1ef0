"""Database metrics: PostgreSQL's active sessions, and its counters of statements and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

TIMEOUT_SECONDS = 10.0
# The observer's own statements are not counted.
_SETTINGS = {"application_name": "plumb observer", "pg_stat_statements.track": "none"}

Row = dict[str, object]
# Counters by name, of each statement or table.
Counters = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Counted:
    """The counters of one database's statements and tables at one moment."""

    statements: Counters
    tables: Counters


async def connect(admin_dsn: str, database: str | None = None) -> asyncpg.Connection:
    """Connect as superuser, to its own database or the named one. Raises OSError, asyncpg.PostgresError."""
    return await asyncpg.connect(
        admin_dsn,
        database=database,
        timeout=TIMEOUT_SECONDS,
        command_timeout=TIMEOUT_SECONDS,
        server_settings=_SETTINGS,
    )


async def disconnect(connection: asyncpg.Connection) -> None:
    """Close a connection; abort it after 10 s. Raises OSError."""
    await connection.close(timeout=TIMEOUT_SECONDS)


async def read_sessions(connection: asyncpg.Connection, databases: Sequence[str]) -> list[Row]:
    """Return the client sessions in these databases that are not idle. Raises OSError, asyncpg.PostgresError."""
    # Purpose: sessions that work or wait now. Blockers only for lock waits: pg_blocking_pids briefly stops all locking.
    select = """
        SELECT pid, datname AS database, state, wait_event_type, wait_event, left(query, 500) AS query,
            CASE wait_event_type WHEN 'Lock' THEN pg_blocking_pids(pid) ELSE '{}' END AS blocked_by,
            coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8 AS transaction_seconds
        FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND state <> 'idle' AND datname = ANY($1) AND pid <> pg_backend_pid()"""
    return [dict(row) for row in await connection.fetch(select, databases)]


async def read_counters(admin_dsn: str, database: str) -> Counted:
    """Return the counters of one database. Raises OSError, asyncpg.PostgresError."""
    # Purpose: statements of clients. A nested statement is already in the figures of the outer one.
    statements = """
        SELECT query, sum(calls)::bigint AS calls, sum(total_exec_time) / 1000 AS total_seconds,
            sum(rows)::bigint AS rows, sum(shared_blks_hit)::bigint AS blocks_hit,
            sum(shared_blks_read)::bigint AS blocks_read
        FROM pg_stat_statements
        WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        GROUP BY query"""
    # Purpose: reads of each table so far; the number of its rows is an estimate.
    tables = """
        SELECT relid::regclass::text AS "table", seq_scan AS sequential_scans, seq_tup_read AS sequential_rows_read,
            coalesce(idx_scan, 0) AS index_scans, coalesce(idx_tup_fetch, 0) AS index_rows_fetched,
            n_live_tup AS live_rows
        FROM pg_stat_user_tables"""
    connection = await connect(admin_dsn, database)
    try:
        return Counted(_by_name(await connection.fetch(statements)), _by_name(await connection.fetch(tables)))
    finally:
        await disconnect(connection)


def statements_used(before: Counted, after: Counted) -> list[Row]:
    """Return the increase of each statement's counters, without statements that were not called."""
    rises = {query: _rise(before.statements.get(query, {}), now) for query, now in after.statements.items()}
    return [{"query": query, **rise} for query, rise in rises.items() if rise["calls"]]


def tables_used(before: Counted, after: Counted) -> list[Row]:
    """Return the increase of each table's counters, and its present number of rows."""
    return [
        {"table": table, **_rise(before.tables.get(table, {}), now), "live_rows": now["live_rows"]}
        for table, now in after.tables.items()
    ]


def _by_name(rows: Sequence[asyncpg.Record]) -> Counters:
    """Return the rows by their first column; the other columns are counters."""
    return {row[0]: dict(list(row.items())[1:]) for row in rows}


def _rise(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """Return the increase of each counter; one that fell was reset in between, so its whole value counts."""
    return {name: value - before.get(name, 0) if value >= before.get(name, 0) else value for name, value in now.items()}
