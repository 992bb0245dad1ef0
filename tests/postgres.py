"""One embedded PostgreSQL for the whole session, with both contexts' databases migrated; emptied before each test."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from services.infra.migrations import migrate
from services.local.databases import Databases
from services.local.postgres import PostgresStart, start_postgres
from services.local.scratch import Scratch

MIGRATIONS = Path(__file__).parents[1] / "services"
CONTEXTS = ("order", "inventory")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server: its administrator's address, and each context's own."""

    admin_dsn: str
    dsns: Mapping[str, str]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """The server, from nothing; it is gone when the session ends, even by SIGKILL."""
    logs = tmp_path_factory.mktemp("postgres")
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        start = PostgresStart(scratch=scratch, log_path=logs / "postgres.log", environment=os.environ)
        server = await start_postgres(start, stack=stack)
        databases = Databases(server.admin_dsn)
        dsns = await databases.create(CONTEXTS)
        await databases.prepare_own_server(CONTEXTS)
        for context, dsn in dsns.items():
            await migrate(dsn, MIGRATIONS / context / "migrations")
        yield PostgresServer(server.admin_dsn, dsns)


@pytest.fixture
def order_dsn(postgres_server: PostgresServer) -> str:
    """The address of the orders' database."""
    return postgres_server.dsns["order"]


@pytest.fixture
def inventory_dsn(postgres_server: PostgresServer) -> str:
    """The address of inventory's database."""
    return postgres_server.dsns["inventory"]


@pytest.fixture
async def clean_databases(postgres_server: PostgresServer) -> None:
    """Both databases, empty but for their schema."""
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
