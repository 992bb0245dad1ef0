"""One embedded PostgreSQL for the whole session, with every database of the shop migrated; emptied before each test."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from services.infra.migrations import migrate
from services.local.processes.scratch_folder import Scratch
from services.local.servers.databases import BACKSTOPS, Databases
from services.local.servers.postgres import PostgresStart, start_postgres

SERVICES = Path(__file__).parents[1] / "services"
CONSUMER = SERVICES / "infra/messaging/consumer_migrations"
# The name of the sessions that empty databases: a test that ends all others spares them.
CLEANING = "cleaning"
# A table is truncated only if it has rows: that makes new files for it and its indices, and a test fills few tables.
EMPTY = """
DO $$
DECLARE
    name text;
    filled text[];
    has_rows boolean;
BEGIN
    FOR name IN
        SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO has_rows;
        IF has_rows THEN
            filled := filled || name;
        END IF;
    END LOOP;
    IF filled IS NOT NULL THEN
        EXECUTE format('TRUNCATE %s CASCADE', array_to_string(filled, ', '));
    END IF;
    FOR name IN SELECT quote_ident(sequencename) FROM pg_sequences WHERE last_value IS NOT NULL LOOP
        EXECUTE format('ALTER SEQUENCE %s RESTART', name);
    END LOOP;
END $$
"""
# The folders of migrations of each database, in order.
MIGRATIONS = {
    "order": (SERVICES / "order/migrations",),
    "order_read": (CONSUMER, SERVICES / "order/read_migrations"),
    "inventory": (SERVICES / "inventory/migrations",),
    "notification": (CONSUMER, SERVICES / "notification/migrations"),
    "event_log": (SERVICES / "infra/messaging/log_migrations",),
}

# The databases of a further server of orders, by the name of the first one's.
SHARD = {"order_1": "order", "event_log_1": "event_log"}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server: the administrator's DSN, and the DSN of each database by its name.

    `shard_dsns` are the databases of a further server of orders, for tests with two.
    """

    admin_dsn: str
    dsns: Mapping[str, str]
    shard_dsns: Mapping[str, str]


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
        names = [*MIGRATIONS, *SHARD]
        dsns = await databases.create(names)
        await without_backstops(server.admin_dsn, names)
        await databases.prepare_own_server(names)
        for name, dsn in dsns.items():
            for folder in MIGRATIONS[SHARD.get(name, name)]:
                await migrate(dsn, folder)
        shard_dsns = {name: dsns.pop(name) for name in SHARD}
        yield PostgresServer(server.admin_dsn, dsns, shard_dsns)


async def without_waiting_for_the_disk(admin_dsn: str) -> None:
    """Let the server answer before data is on disk: no machine fails here, and tests need not wait for a slow disk."""
    connection = await asyncpg.connect(admin_dsn)
    try:
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


async def without_backstops(admin_dsn: str, roles: Sequence[str]) -> None:
    """Let statements, locks and idle transactions of these roles last however long a slow machine takes.

    The limits of a role end what its own client forgot; those that a client sets for a transaction are lower.
    """
    connection = await asyncpg.connect(admin_dsn)
    try:
        for role in roles:
            for setting in BACKSTOPS:
                await connection.execute(f'ALTER ROLE "{role}" SET {setting} = 0')
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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cleaning_connections(postgres_server: PostgresServer) -> AsyncIterator[Sequence[asyncpg.Connection]]:
    """Keep a connection to each database: to open one costs more than to look whether there is anything to delete."""
    async with AsyncExitStack() as stack:
        connections = []
        for dsn in postgres_server.dsns.values():
            connection = await asyncpg.connect(dsn, server_settings={"application_name": CLEANING})
            stack.push_async_callback(connection.close)
            connections.append(connection)
        yield connections


@pytest_asyncio.fixture(loop_scope="session")
async def clean_databases(cleaning_connections: Sequence[asyncpg.Connection]) -> None:
    """Empty every database but for its schema."""
    for connection in cleaning_connections:
        await connection.execute(EMPTY)


async def empty(dsn: str) -> None:
    """Delete every row of every table but the list of migrations."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(EMPTY)
    finally:
        await connection.close()
