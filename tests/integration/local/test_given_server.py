"""A server given by PLUMB_POSTGRES_DSN: it is used and left as it was, or rejected with a clear message."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from services.infra import crash_points
from services.local.platform.plan import DATABASES, PlatformOptions, base_environment
from services.local.platform.platform import Platform
from services.local.processes.errors import DatabaseUnavailable
from services.local.processes.scratch_folder import Scratch
from services.local.servers.databases import Databases
from services.local.servers.ports import free_port
from services.local.servers.postgres import PostgresStart, start_postgres
from services.order.adapters.shard_move_session import MoveRefused
from services.order.workers import shard_move
from services.order.workers.shard_move import move_shard
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")
OWN = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'plumb%'"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin_dsn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Yield the DSN of a role that may create databases and roles but is no superuser."""
    folder = tmp_path_factory.mktemp("given")
    async with AsyncExitStack() as stack:
        scratch = Scratch(parent=folder)
        stack.push_async_callback(scratch.close)
        start = PostgresStart(scratch=scratch, log_path=folder / "postgres.log", environment=base_environment())
        server = await start_postgres(start, stack=stack)
        await execute(server.admin_dsn, "CREATE ROLE owner LOGIN CREATEDB CREATEROLE PASSWORD 'p'")
        yield f"postgresql://owner:p@127.0.0.1:{server.port}/postgres"


@pytest_asyncio.fixture(loop_scope="module")
async def superuser_dsn(tmp_path: Path) -> AsyncIterator[str]:
    """Yield the DSN of the superuser of a server with logical replication."""
    async with AsyncExitStack() as stack:
        scratch = Scratch(parent=tmp_path)
        stack.push_async_callback(scratch.close)
        log_path = tmp_path / "postgres.log"
        start = PostgresStart(scratch=scratch, log_path=log_path, environment=base_environment(), wal_level="logical")
        yield (await start_postgres(start, stack=stack)).admin_dsn


async def execute(dsn: str, statement: str) -> None:
    """Run one statement."""
    connection = await asyncpg.connect(dsn, timeout=PATIENCE_SECONDS)
    await connection.execute(statement)
    await connection.close(timeout=PATIENCE_SECONDS)


async def ask(dsn: str, question: str) -> object:
    """Return the single value of a query."""
    connection = await asyncpg.connect(dsn, timeout=PATIENCE_SECONDS)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close(timeout=PATIENCE_SECONDS)


async def test_a_platform_leaves_nothing_on_a_given_server(
    admin_dsn: str, options: PlatformOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts none, and each database has a role that may use no other."""
    monkeypatch.setenv("PLUMB_POSTGRES_DSN", admin_dsn)
    async with Platform.start(options) as platform:
        assert platform.endpoints.postgres_pid is None
        assert await ask(admin_dsn, OWN) == len(DATABASES)
        order, inventory = (platform.endpoints.databases[name] for name in ("order", "inventory"))
        assert await ask(order, "SELECT current_user = current_database()") is True
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(order.rpartition("/")[0] + "/" + inventory.rpartition("/")[2], "SELECT 1")
    assert await ask(admin_dsn, OWN) == 0
    assert await ask(admin_dsn, "SELECT count(*) FROM pg_database WHERE datname LIKE 'plumb%'") == 0


async def test_databases_of_dead_runs_are_dropped_and_others_kept(admin_dsn: str) -> None:
    living = Databases(admin_dsn=admin_dsn, prefix="plumb_living_")
    gone = Databases(admin_dsn=admin_dsn, prefix="plumb_gone_")
    for run in (living, gone):
        await run.create(["order"])
    owner = await ask(admin_dsn, "SELECT shobj_description('plumb_gone_order'::regrole, 'pg_authid')")
    assert isinstance(owner, str)
    of_another_process = json.dumps({**json.loads(owner), "token": "an earlier process"})
    await execute(admin_dsn, f"COMMENT ON ROLE plumb_gone_order IS '{of_another_process}'")
    assert await living.drop_stale() == ["plumb_gone_order"]
    assert await ask(admin_dsn, OWN) == 1
    await living.drop(["plumb_living_order"])


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    port = free_port()
    with pytest.raises(DatabaseUnavailable, match=f"cannot use PostgreSQL at 127.0.0.1:{port}: ") as refused:
        await Databases(admin_dsn=f"postgresql://owner:secret@127.0.0.1:{port}/postgres").create(["order"])
    assert "secret" not in str(refused.value)
    assert "PLUMB_POSTGRES_DSN" in str(refused.value)


@pytest.mark.parametrize("dsn", ["owner:secret@host", "postgresql://owner:secret@host:port/postgres"])
async def test_a_malformed_address_is_rejected_without_quoting_it(dsn: str) -> None:
    with pytest.raises(DatabaseUnavailable) as refused:
        await Databases(admin_dsn=dsn).create(["order"])
    assert "secret" not in str(refused.value)


async def test_a_role_without_createdb_is_an_error(admin_dsn: str) -> None:
    await execute(admin_dsn, "CREATE ROLE plain LOGIN PASSWORD 'p'")
    with pytest.raises(DatabaseUnavailable, match="needs CREATEDB and CREATEROLE"):
        await Databases(admin_dsn=admin_dsn.replace("owner:", "plain:"), prefix="plumb_x_").create(["order"])
    await execute(admin_dsn, "DROP ROLE plain")


async def test_logical_shards_move_between_databases_of_a_given_server(
    superuser_dsn: str, options: PlatformOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move that is interrupted leaves a subscription and a slot, and both are gone with the platform."""
    monkeypatch.setattr(shard_move, "DRAIN_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setenv("PLUMB_POSTGRES_DSN", superuser_dsn)
    modules = {name: module for name, module in options.modules.items() if name != "order-migrate"}
    async with Platform.start(replace(options, shards=2, modules=modules)) as platform:
        dsns = [platform.endpoints.databases[name] for name in ("order", "order_1")]
        moved = await move_shard(dsns, 0, 1, say=lambda _: None)
        assert (moved.move.source, moved.move.target) == (0, 1)
        with monkeypatch.context() as patch:
            patch.setattr(crash_points.crash_points, "reached", interrupt)
            with pytest.raises(Interruption):
                await move_shard(dsns, 2, 1, say=lambda _: None)
        assert await ask(superuser_dsn, "SELECT count(*) FROM pg_subscription") == 1
    assert await ask(superuser_dsn, OWN) == 0
    assert await ask(superuser_dsn, "SELECT count(*) FROM pg_replication_slots") == 0


class Interruption(Exception):
    """The move ended here."""


def interrupt(point: str) -> None:
    """End a move once its subscription pauses."""
    if point == "shard_move.paused":
        raise Interruption


async def test_a_role_that_cannot_allow_moves_is_told_so(
    admin_dsn: str, options: PlatformOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders are placed as usual. A move is rejected before it begins."""
    monkeypatch.setenv("PLUMB_POSTGRES_DSN", admin_dsn)
    said: list[str] = []
    modules = {name: module for name, module in options.modules.items() if name != "order-migrate"}
    async with Platform.start(replace(options, shards=2, modules=modules), progress=said.append) as platform:
        dsns = [platform.endpoints.databases[name] for name in ("order", "order_1")]
        assert [
            sentence for sentence in said if sentence.startswith("logical shards cannot be moved: permission denied")
        ]
        with pytest.raises(MoveRefused, match="server 0 needs wal_level = logical, and its role REPLICATION"):
            await move_shard(dsns, 0, 1, say=lambda _: None)
        assert await ask(dsns[0], "SELECT count(*) FROM shard_moves") == 0
    assert await ask(admin_dsn, OWN) == 0
