"""Embedded PostgreSQL: logins, durability, and no secrets in logs or arguments."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
import pytest
import pytest_asyncio

from services.local.platform.plan import DATABASES, base_environment
from services.local.processes.errors import PortTaken
from services.local.processes.scratch_folder import Scratch
from services.local.servers.databases import Databases, replace_login
from services.local.servers.ports import free_port, loopback
from services.local.servers.postgres import EmbeddedPostgres, PostgresStart, start_postgres
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server with the databases of the shop."""

    postgres: EmbeddedPostgres
    databases: dict[str, str]
    log_path: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder = tmp_path_factory.mktemp("postgres")
    async with AsyncExitStack() as stack:
        scratch = Scratch(parent=folder)
        stack.push_async_callback(scratch.close)
        start = PostgresStart(
            scratch=scratch, log_path=folder / "logs" / "postgres.log", environment=base_environment()
        )
        postgres = await start_postgres(start, stack=stack)
        administration = Databases(admin_dsn=postgres.admin_dsn)
        databases = await administration.create(DATABASES)
        await administration.prepare_own_server(DATABASES)
        yield Server(postgres=postgres, databases=databases, log_path=start.log_path)


async def ask(dsn: str, question: str) -> object:
    """Return the single value of a query."""
    connection = await asyncpg.connect(dsn, timeout=PATIENCE_SECONDS)
    try:
        return await connection.fetchval(question, timeout=PATIENCE_SECONDS)
    finally:
        await connection.close(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("name", DATABASES)
async def test_a_role_uses_the_database_of_its_name(server: Server, name: str) -> None:
    answer = await ask(server.databases[name], "SELECT current_user || '@' || current_database()")
    assert answer == f"{name}@{name}"


@pytest.mark.parametrize("name", DATABASES)
async def test_a_role_owns_its_database(server: Server, name: str) -> None:
    assert await ask(server.databases[name], "CREATE TABLE own (id int)") is None


@pytest.mark.parametrize("other", ["inventory", "order_read", "event_log", "postgres"])
async def test_the_order_role_cannot_connect_to_other_databases(server: Server, other: str) -> None:
    elsewhere = server.databases["order"].replace("/order?", f"/{other}?")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(elsewhere, "SELECT 1")


@pytest.mark.parametrize("user", ["order", "postgres"])
async def test_a_wrong_password_is_refused(server: Server, user: str) -> None:
    dsn = replace_login(server.databases["order"], user=user, password="wrong", database=user)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(dsn, "SELECT 1")


async def test_every_connection_needs_scram(server: Server) -> None:
    methods = await ask(server.postgres.admin_dsn, "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules")
    assert methods == ["scram-sha-256"]


async def test_passwords_are_stored_as_scram_verifiers(server: Server) -> None:
    question = "SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256$%') FROM pg_authid WHERE rolcanlogin"
    assert await ask(server.postgres.admin_dsn, question) is True


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("server_encoding", "UTF8"),
        ("lc_collate", "C.UTF-8"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", loopback()),
        ("statement_timeout", "10s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ],
)
async def test_a_session_of_a_role_has_these_settings(server: Server, setting: str, value: str) -> None:
    question = "SELECT datcollate FROM pg_database WHERE datname = 'order'"
    if setting != "lc_collate":
        question = f"SELECT current_setting('{setting}')"
    assert await ask(server.databases["order"], question) == value


async def test_statements_are_counted(server: Server) -> None:
    assert await ask(server.databases["order"], "SELECT count(*) > 0 FROM pg_stat_statements") is True


async def test_no_password_is_in_the_log_or_the_statistics(server: Server) -> None:
    passwords = [
        dsn.split("@")[0].rpartition(":")[2] for dsn in (server.postgres.admin_dsn, *server.databases.values())
    ]
    statements = await ask(server.postgres.admin_dsn, "SELECT string_agg(query, ';') FROM pg_stat_statements")
    text = f"{statements} {server.log_path.read_text()}"
    assert "CREATE ROLE" in text
    assert [password for password in passwords if password in text] == []


async def test_no_password_is_on_a_command_line(server: Server) -> None:
    server_process = psutil.Process(server.postgres.process.pid)
    reaper = server_process.parent()
    assert reaper is not None
    text = " ".join(server_process.cmdline() + reaper.cmdline() + list(reaper.environ().values()))
    passwords = [
        dsn.split("@")[0].rpartition(":")[2] for dsn in (server.postgres.admin_dsn, *server.databases.values())
    ]
    assert [password for password in passwords if password in text] == []


async def test_the_server_accepts_no_root_and_so_runs_as_another_user(server: Server) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's server runs as that user")
    assert await ask(server.postgres.admin_dsn, "SELECT pg_read_file('/proc/self/uid_map') !~ '^ +0 +0 '") is True


async def test_a_given_port_that_is_taken_is_named(server: Server, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        scratch = Scratch(parent=tmp_path)
        stack.push_async_callback(scratch.close)
        start = PostgresStart(
            scratch=scratch,
            log_path=tmp_path / "postgres.log",
            environment=base_environment(),
            port=server.postgres.port,
        )
        with pytest.raises(PortTaken, match=f"port {server.postgres.port}"):
            await start_postgres(start, stack=stack)


async def test_another_server_on_a_taken_port_is_not_taken_for_ours(server: Server, tmp_path: Path) -> None:
    """The ephemeral port may be lost between choosing and binding it: the next one is tried."""
    ports = iter([server.postgres.port, 0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.local.servers.postgres.free_port", lambda: next(ports) or free_port())
        async with AsyncExitStack() as stack:
            scratch = Scratch(parent=tmp_path)
            stack.push_async_callback(scratch.close)
            start = PostgresStart(scratch=scratch, log_path=tmp_path / "postgres.log", environment=base_environment())
            second = await start_postgres(start, stack=stack)
            assert second.port != server.postgres.port
