"""Migrations are applied once each, also by concurrent migrators, and never partly."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from services.infra.migrations import MigrationChanged, migrate
from tests.postgres import PostgresServer

NAME = "migrated"


@pytest.fixture
async def dsn(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """Yield an empty database of the test."""
    admin = await asyncpg.connect(postgres_server.admin_dsn)
    await admin.execute(f"CREATE DATABASE {NAME}")
    yield postgres_server.admin_dsn.replace("/postgres?", f"/{NAME}?")
    await admin.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
    await admin.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two migrations."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE one (id int);")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE two (id int);")
    return tmp_path


async def tables(dsn: str) -> set[str]:
    """Return the tables there are."""
    connection = await asyncpg.connect(dsn)
    try:
        return {row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    finally:
        await connection.close()


async def test_each_file_is_applied_once_in_order(dsn: str, folder: Path) -> None:
    """A second run finds nothing to do."""
    assert await migrate(dsn, folder) == ["0001_first.sql", "0002_second.sql"]
    assert await migrate(dsn, folder) == []
    assert await tables(dsn) == {"migrations", "one", "two"}


async def test_two_migrators_at_once_apply_each_file_once(dsn: str, folder: Path) -> None:
    """The second waits for the first."""
    applied = await asyncio.gather(migrate(dsn, folder), migrate(dsn, folder))
    assert sorted(applied) == [[], ["0001_first.sql", "0002_second.sql"]]


async def test_an_applied_file_must_not_change(dsn: str, folder: Path) -> None:
    """The error names it."""
    await migrate(dsn, folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE other (id int);")
    with pytest.raises(MigrationChanged, match=r"0001_first\.sql"):
        await migrate(dsn, folder)


async def test_a_file_that_fails_leaves_nothing(dsn: str, folder: Path) -> None:
    """The files before it stay, its own first statement does not."""
    (folder / "0003_third.sql").write_text("CREATE TABLE three (id int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(dsn, folder)
    assert await tables(dsn) == {"migrations", "one", "two"}


async def test_a_folder_without_migrations_is_a_mistake(dsn: str, tmp_path: Path) -> None:
    """Rather than a database without tables."""
    with pytest.raises(FileNotFoundError):
        await migrate(dsn, tmp_path)
