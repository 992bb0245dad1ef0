"""A transaction that cannot be rolled back: its connection is closed, and the original error is raised."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from observability.telemetry.telemetry import unobserved
from services.infra import postgres
from services.infra.postgres import Database
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
async def database(order_dsn: str, clean_databases: None) -> AsyncIterator[Database]:
    """Yield a database with one connection, so that a transaction finds what the last one left behind."""
    opened = await Database.open(order_dsn, pool_size=1, telemetry=unobserved("order"))
    yield opened
    await opened.close(timeout_seconds=5)


async def write_and_fail(database: Database) -> None:
    """Write a row, then raise LookupError in the same transaction."""
    insert = "INSERT INTO sagas (order_id, due_time, logical_shard) VALUES (gen_random_uuid(), now(), 0)"
    async with database.transaction("test") as transaction:
        await transaction.execute("INSERT sagas", insert)
        raise LookupError


async def test_an_error_is_not_hidden_by_a_rollback_that_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing that was written stays, nor is the next one in that transaction."""
    monkeypatch.setattr(postgres, "ROLLBACK_SECONDS", 0.0)
    with pytest.raises(LookupError):
        await write_and_fail(database)
    assert await database.fetch("SELECT sagas", "SELECT order_id FROM sagas") == []


async def test_a_cancellation_stays_one_when_the_rollback_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiter on the task must see that it was cancelled."""
    monkeypatch.setattr(postgres, "ROLLBACK_SECONDS", 0.0)
    begun = asyncio.Event()

    async def work() -> None:
        async with database.transaction("test"):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.fetch("SELECT 1", "SELECT 1")


async def test_an_error_is_not_hidden_by_a_server_that_has_ended(database: Database, order_dsn: str) -> None:
    """The pool takes such a connection back under its user's hands, and refuses every further word on it."""

    async def work() -> None:
        async with database.transaction("test") as transaction:
            (row,) = await transaction.fetch("SELECT pid", "SELECT pg_backend_pid() AS pid")
            await end_backend(order_dsn, row["pid"])
            async with asyncio.timeout(PATIENCE_SECONDS):
                while database._pool.get_size():  # nothing else tells that the loss was noticed
                    await asyncio.sleep(0)
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    await database.fetch("SELECT 1", "SELECT 1")


async def end_backend(dsn: str, pid: int) -> None:
    """End the process that serves a connection."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
    finally:
        await connection.close()
