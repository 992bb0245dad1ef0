"""Schema check of a database: without the schema of this version it fails."""

from pathlib import Path

import asyncpg
import pytest

from observability.telemetry.telemetry import unobserved
from services.infra.migrations import migrate
from services.infra.postgres import Database
from services.infra.schema import schema_check
from tests.postgres import PostgresServer

FIRST, SECOND = "0001_first.sql", "0002_second.sql"


@pytest.fixture
async def empty_dsn(postgres_server: PostgresServer) -> str:
    """Yield a new database without tables."""
    connection = await asyncpg.connect(postgres_server.admin_dsn)
    try:
        await connection.execute("DROP DATABASE IF EXISTS bare WITH (FORCE)")
        await connection.execute("CREATE DATABASE bare")
    finally:
        await connection.close()
    return postgres_server.admin_dsn.rpartition("/")[0] + "/bare"


async def found(dsn: str, folder: Path) -> str:
    """Return what a check says."""
    database = await Database.open(dsn, pool_size=1, telemetry=unobserved("test"))
    try:
        return await schema_check(database, folder)()
    finally:
        await database.close(timeout_seconds=10)


async def test_a_schema_is_missing_behind_or_there(empty_dsn: str, tmp_path: Path) -> None:
    (tmp_path / FIRST).write_text("CREATE TABLE one (id int)")
    assert "UndefinedTableError" in await found(empty_dsn, tmp_path)
    await migrate(empty_dsn, tmp_path)
    assert await found(empty_dsn, tmp_path) == ""
    (tmp_path / SECOND).write_text("CREATE TABLE two (id int)")
    assert await found(empty_dsn, tmp_path) == f"migrations missing or changed: {SECOND}"


async def test_a_newer_schema_is_one_of_this_version(empty_dsn: str, tmp_path: Path) -> None:
    """While a new version rolls out, the old one goes on."""
    (tmp_path / FIRST).write_text("CREATE TABLE one (id int)")
    (tmp_path / SECOND).write_text("CREATE TABLE two (id int)")
    await migrate(empty_dsn, tmp_path)
    (tmp_path / SECOND).unlink()
    assert await found(empty_dsn, tmp_path) == ""
