"""Migration of inventory's database: `python -m services.inventory.migrate`."""

import asyncio
from pathlib import Path

from services.infra import program
from services.infra.migrations import migrate
from services.infra.settings import read_settings
from services.inventory.settings import InventorySettings

MIGRATIONS = Path(__file__).parent / "migrations"


async def migrate_inventory(settings: InventorySettings) -> None:
    """Apply new migrations."""
    await migrate(settings.database_dsn.get_secret_value(), MIGRATIONS)


if __name__ == "__main__":
    program.main("inventory", lambda _: asyncio.run(migrate_inventory(read_settings(InventorySettings))))
