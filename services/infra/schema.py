"""Readiness check of a database: it answers, and has the schema of this version."""

from pathlib import Path

import asyncpg

from services.infra.migrations import read_migrations
from services.infra.postgres import Database
from services.infra.readiness import Check


def schema_check(database: Database, *folders: Path) -> Check:
    """Return a check that a database answers and has all migrations of the folders applied."""
    needed = {migration.name: migration.checksum for folder in folders for migration in read_migrations(folder)}

    async def check() -> str:
        try:
            rows = await database.fetch("SELECT migrations", "SELECT name, checksum FROM migrations")
        except asyncpg.PostgresError as error:
            return f"its migrations cannot be read ({type(error).__name__})"
        applied = {row["name"]: row["checksum"] for row in rows}
        missing = sorted(name for name, checksum in needed.items() if applied.get(name) != checksum)
        return f"migrations missing or changed: {', '.join(missing)}" if missing else ""

    return check
