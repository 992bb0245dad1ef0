"""Streaming replicas of the embedded PostgreSQL: they follow, keep no secret in arguments, and limit their slots."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
import pytest
import pytest_asyncio

from services.local.platform.endpoints import Bus, Mode
from services.local.platform.plan import MODULES, PlatformOptions, base_environment
from services.local.platform.platform import Platform
from services.local.processes.errors import LocalError
from services.local.processes.scratch_folder import Scratch
from services.local.servers.postgres import EmbeddedPostgres, PostgresStart, start_postgres
from services.local.servers.replicas import start_replicas
from tests.full import in_full
from tests.integration.local.conftest import STAND_IN, needs_nats
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Servers:
    """A primary with two replicas, and the folder of their data."""

    primary: EmbeddedPostgres
    replicas: tuple[EmbeddedPostgres, ...]
    folder: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    folder = tmp_path_factory.mktemp("replicas")
    async with AsyncExitStack() as stack:
        scratch = Scratch(parent=folder)
        stack.push_async_callback(scratch.close)
        start = PostgresStart(
            scratch=scratch, log_path=folder / "logs" / "postgres.log", environment=base_environment()
        )
        primary = await start_postgres(start, stack=stack)
        replicas = await start_replicas(primary, start, count=2, stack=stack)
        yield Servers(primary, replicas, scratch.folder)


async def ask(server: EmbeddedPostgres, question: str) -> object:
    """Return the single value of a query."""
    connection = await asyncpg.connect(server.admin_dsn, timeout=PATIENCE_SECONDS)
    try:
        return await connection.fetchval(question, timeout=PATIENCE_SECONDS)
    finally:
        await connection.close(timeout=PATIENCE_SECONDS)


async def test_a_replica_gets_what_the_primary_commits(servers: Servers) -> None:
    await ask(servers.primary, "CREATE TABLE fruits AS SELECT 'apple' AS name")
    async with asyncio.timeout(PATIENCE_SECONDS):
        for replica in servers.replicas:
            while not await ask(replica, "SELECT to_regclass('fruits') IS NOT NULL"):
                await asyncio.sleep(0.01)
            assert await ask(replica, "SELECT name FROM fruits") == "apple"


async def test_a_replica_rejects_writes(servers: Servers) -> None:
    for replica in servers.replicas:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await ask(replica, "CREATE TABLE stones (name text)")


async def test_the_slot_of_an_absent_replica_ends(servers: Servers) -> None:
    assert await ask(servers.primary, "SELECT count(*) FROM pg_replication_slots") == 2
    assert await ask(servers.primary, "SHOW max_slot_wal_keep_size") == "256MB"
    known = await ask(servers.primary, "SELECT setting FROM pg_settings WHERE name = 'idle_replication_slot_timeout'")
    assert known in {None, "600"}  # older than PostgreSQL 18, or ten minutes


async def test_the_password_of_replication_is_in_no_argument_and_no_readable_file(servers: Servers) -> None:
    passfile = servers.folder / "postgres-replica-1" / "pgpass"
    password = passfile.read_text().strip().rpartition(":")[2]
    assert passfile.stat().st_mode & 0o077 == 0
    settings = (servers.folder / "postgres-replica-1" / "data" / "postgresql.auto.conf").read_text()
    assert "primary_conninfo" in settings
    assert password not in settings
    for server in (servers.primary, *servers.replicas):
        for process in (psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children()):
            with contextlib.suppress(psutil.NoSuchProcess):  # a worker of the server that has just ended
                assert password not in " ".join(process.cmdline())


@pytest.mark.parametrize("mode", ["services", *in_full("monolith")])
@pytest.mark.parametrize("bus", ["postgres", pytest.param("nats", marks=[needs_nats, pytest.mark.full])])
async def test_a_platform_tells_its_services_where_its_replicas_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode, bus: Bus
) -> None:
    """Those of both servers of orders."""
    monkeypatch.delenv("PLUMB_POSTGRES_DSN", raising=False)
    options = PlatformOptions(
        run_directory=tmp_path / "run",
        modules=dict.fromkeys(MODULES, STAND_IN),
        mode=mode,
        bus=bus,
        shards=2,
        replicas=1,
    )
    async with Platform.start(options) as platform:
        endpoints = platform.endpoints
        (dsns,) = endpoints.replica_databases
        assert len(endpoints.replica_pids) == 2
        for process in ("order", "inventory") if mode == "services" else ("monolith",):
            environment = psutil.Process(endpoints.service_pids[process]).environ()
            if process != "inventory":
                assert environment["ORDER_REPLICA_DSNS"] == dsns["order"]
                assert environment["ORDER_SHARD_REPLICA_DSNS"] == dsns["order_1"]
                assert environment["ORDER_READ_REPLICA_DSNS"] == dsns["order_read"]
            if process != "order":
                assert environment["INVENTORY_REPLICA_DSNS"] == dsns["inventory"]
        for name in ("order", "order_1"):
            connection = await asyncpg.connect(dsns[name], timeout=PATIENCE_SECONDS)
            try:
                assert await connection.fetchval("SELECT pg_is_in_recovery()")
                assert await connection.fetchval("SELECT current_database()") == name
            finally:
                await connection.close(timeout=PATIENCE_SECONDS)


async def test_replicas_of_a_given_server_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMB_POSTGRES_DSN", "postgresql://someone@127.0.0.1:1/postgres")
    with pytest.raises(LocalError, match="--replicas"):
        async with Platform.start(PlatformOptions(run_directory=tmp_path / "run", replicas=1)):
            pass
