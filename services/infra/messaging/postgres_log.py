"""Event log in PostgreSQL: gapless positions, one writer at a time under a row lock; stale writers are refused."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import asyncpg

from services.infra.crash_points import crash_points
from services.infra.messaging.log import Fenced, Replaced
from services.infra.messaging.message import Batch, LogState, Message, ReceivedMessage, without_repeats
from services.infra.messaging.rows import columns_of, message_of
from services.infra.postgres import Database, Transaction

# NOTIFY would halve the throughput of business transactions; a poll costs one index look-up.
POLL_SECONDS = 0.1


class PostgresLog:
    """Implements `log.EventLog` on a database of its own."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str, count: int = 0) -> LogState:
        """Append new messages; concurrent appends wait for the lock on the head row."""
        async with self._database.transaction("event_log.append") as transaction:
            if await self._lock_head(transaction, epoch) != incarnation:
                raise Replaced
            # Purpose: dense positions for new messages; no other append can run until the commit. They begin after the
            # last row, since a row that was inserted by hand is part of the log and may be beyond its head.
            insert = """
                WITH base AS (
                    SELECT greatest(position, (SELECT max(position) FROM event_log)) AS position, coalesce(
                        (SELECT max(position) - min(position) + 1 FROM event_log), 0) AS count
                    FROM event_log_head),
                fresh AS (
                    SELECT message.*, row_number() OVER (ORDER BY place) AS step
                    FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::text[],
                        $7::bytea[]) WITH ORDINALITY AS message (event_id, type, aggregate_id, aggregate_version,
                        occur_time, traceparent, data, place)
                    WHERE NOT EXISTS (SELECT FROM event_log WHERE event_log.event_id = message.event_id)),
                appended AS (
                    INSERT INTO event_log (position, event_id, type, aggregate_id, aggregate_version, occur_time,
                        traceparent, data)
                    SELECT base.position + step, event_id, type, aggregate_id, aggregate_version, occur_time,
                        traceparent, data
                    FROM fresh, base RETURNING position)
                UPDATE event_log_head SET epoch = $8, position = base.position + (SELECT count(*) FROM appended)
                FROM base
                RETURNING incarnation, event_log_head.position, event_log_head.position AS count,
                    base.count AS count_before"""
            columns = columns_of(without_repeats(messages))
            (head,) = await transaction.fetch("INSERT event_log", insert, *columns, epoch)
            # Read with the lock held: a check before the lock may be of a log that has lost its end since.
            if head["count_before"] < count:
                raise Replaced
        crash_points.reached("event_log.appended")
        return _state_of(head)

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Return what comes after a position; poll while there is nothing."""
        ends = monotonic() + wait_seconds
        while not (rows := await self._read(after, limit)) and monotonic() < ends:  # noqa: ASYNC110  # others append
            await asyncio.sleep(POLL_SECONDS)
        # The state is read last: it may be ahead of the deliveries, never behind them.
        state = await self.state()
        return Batch(state, tuple(ReceivedMessage(row["position"], message_of(row)) for row in rows))

    async def state(self) -> LogState:
        """Return the state of the log; create its head row if it is missing."""
        # Purpose: positions are dense, so the first and last give the count; deleted rows reduce it.
        select = """
            SELECT incarnation, greatest(position, (SELECT max(position) FROM event_log)) AS position, coalesce(
                (SELECT max(position) FROM event_log) - (SELECT min(position) FROM event_log) + 1, 0) AS count
            FROM event_log_head"""
        rows = await self._database.fetch("SELECT event_log_head", select)
        if not rows:
            await self._begin()
            rows = await self._database.fetch("SELECT event_log_head", select)
        return _state_of(rows[0])

    async def reset(self, *, epoch: int | None = None) -> None:
        """Delete all messages; the head keeps its epoch and gets a new incarnation."""
        async with self._database.transaction("event_log.reset") as transaction:
            await self._lock_head(transaction, epoch)
            update = """
                UPDATE event_log_head SET incarnation = gen_random_uuid()::text, position = 0,
                    epoch = coalesce($1, epoch)"""
            await transaction.execute("UPDATE event_log_head", update, epoch)
            await transaction.fetch("TRUNCATE event_log", "TRUNCATE event_log")

    async def close(self) -> None:
        """Close the pool."""
        await self._database.close(timeout_seconds=1)

    async def _lock_head(self, transaction: Transaction, epoch: int | None) -> str | None:
        """Lock the head row; return the incarnation, or None if there is no head row. Raises Fenced."""
        # Purpose: serialise appends, and reject a relay that has lost its lease.
        select = "SELECT incarnation, epoch FROM event_log_head FOR UPDATE"
        rows = await transaction.fetch("SELECT event_log_head FOR UPDATE", select)
        if rows and epoch is not None and rows[0]["epoch"] > epoch:
            raise Fenced(rows[0]["epoch"])
        return rows[0]["incarnation"] if rows else None

    async def _begin(self) -> None:
        async with self._database.transaction("event_log.begin") as transaction:
            insert = "INSERT INTO event_log_head DEFAULT VALUES ON CONFLICT DO NOTHING"
            if await transaction.execute("INSERT event_log_head", insert):
                # Purpose: rows of a log without a head belong to no incarnation; no append can run before we commit.
                await transaction.execute("DELETE event_log", "DELETE FROM event_log")

    async def _read(self, after: int, limit: int) -> list[asyncpg.Record]:
        # Purpose: the next messages, by primary key.
        select = "SELECT * FROM event_log WHERE position > $1 ORDER BY position LIMIT $2"
        return await self._database.fetch("SELECT event_log", select, after, limit)


def _state_of(row: asyncpg.Record) -> LogState:
    return LogState(row["incarnation"], row["position"], row["count"])
