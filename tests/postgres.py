"""One embedded PostgreSQL for the whole session, with every database of the shop migrated; emptied before each test."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from services.infra.migrations import migrate
from services.local.processes.scratch_folder import Scratch
from services.local.servers.databases import Databases
from services.local.servers.postgres import PostgresStart, start_postgres

SERVICES = Path(__file__).parents[1] / "services"
CONSUMER = SERVICES / "infra/messaging/consumer_migrations"
# The folders of migrations of each database, in order.
MIGRATIONS = {
    "order": (SERVICES / "order/migrations",),
    "order_read": (CONSUMER, SERVICES / "order/read_migrations"),
    "inventory": (SERVICES / "inventory/migrations",),
    "notification": (CONSUMER, SERVICES / "notification/migrations"),
    "event_log": (SERVICES / "infra/messaging/log_migrations",),
}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server: the administrator's DSN, and the DSN of each database by its name."""

    admin_dsn: str
    dsns: Mapping[str, str]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """Start a new server; it ends with the session, even by SIGKILL."""
    logs = tmp_path_factory.mktemp("postgres")
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        start = PostgresStart(scratch=scratch, log_path=logs / "postgres.log", environment=os.environ)
        server = await start_postgres(start, stack=stack)
        await without_waiting_for_the_disk(server.admin_dsn)
        databases = Databases(server.admin_dsn)
        dsns = await databases.create(list(MIGRATIONS))
        await databases.prepare_own_server(list(MIGRATIONS))
        for name, dsn in dsns.items():
            for folder in MIGRATIONS[name]:
                await migrate(dsn, folder)
        yield PostgresServer(server.admin_dsn, dsns)


async def without_waiting_for_the_disk(admin_dsn: str) -> None:
    """Let the server answer before data is on disk: no machine fails here, and tests need not wait for a slow disk."""
    connection = await asyncpg.connect(admin_dsn)
    try:
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


@pytest.fixture
def order_dsn(postgres_server: PostgresServer) -> str:
    """Return the DSN of the order database."""
    return postgres_server.dsns["order"]


@pytest.fixture
def inventory_dsn(postgres_server: PostgresServer) -> str:
    """Return the DSN of the inventory database."""
    return postgres_server.dsns["inventory"]


@pytest.fixture
async def clean_databases(postgres_server: PostgresServer) -> None:
    """Empty every database but for its schema."""
    for dsn in postgres_server.dsns.values():
        await empty(dsn)


async def empty(dsn: str) -> None:
    """Delete every row of every table but the list of migrations."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations'"
        )
        await connection.execute(f"TRUNCATE {', '.join(row[0] for row in rows)} RESTART IDENTITY")
    finally:
        await connection.close()
