"""Schema migrations: plain .sql files, each applied once, in order, under a lock, forward only."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import asyncpg

CONNECT_SECONDS = 5.0
LOCK_SECONDS = 60
# Arbitrary; every migrator of a database must take the same one.
LOCK_KEY = 7_074_951


class MigrationChanged(Exception):
    """The text of an applied migration has changed. Write a new file instead; applied files never change."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file: its name gives the order, its checksum detects changes after it was applied."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the text, in hex."""
        return sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path) -> list[Migration]:
    """Return the migrations of a folder, ordered by name. Raises FileNotFoundError if there are none."""
    files = sorted(folder.glob("*.sql"))
    if not files:
        raise FileNotFoundError(f"no migrations in {folder}")
    return [Migration(file.name, file.read_text(encoding="utf-8")) for file in files]


async def migrate(dsn: str, folder: Path) -> list[str]:
    """Apply missing migrations, each in a transaction of its own; return the names of those applied.

    Raises MigrationChanged, asyncpg.PostgresError, OSError, or TimeoutError after 60 s behind another migrator.
    """
    migrations = read_migrations(folder)
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        # Purpose: one migrator at a time; the lock ends with the connection.
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY, timeout=LOCK_SECONDS)
        return [migration.name for migration in migrations if await apply_once(connection, migration)]
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def apply_once(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> bool:
    """Apply one migration unless it was applied before; return whether it was applied now. Raises MigrationChanged."""
    # Purpose: the list of applied migrations, kept in the database that they changed.
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations ("
        "name text PRIMARY KEY, checksum text NOT NULL, apply_time timestamptz NOT NULL DEFAULT now())"
    )
    applied = await connection.fetchval("SELECT checksum FROM migrations WHERE name = $1", migration.name)
    if applied is not None:
        if applied != migration.checksum:
            raise MigrationChanged(migration.name)
        return False
    async with connection.transaction():
        await connection.execute(migration.sql)
        insert = "INSERT INTO migrations (name, checksum) VALUES ($1, $2)"
        await connection.execute(insert, migration.name, migration.checksum)
    return True
