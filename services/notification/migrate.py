"""Migration of notification's database: `python -m services.notification.migrate`."""

import asyncio
from pathlib import Path

from services.infra import program
from services.infra.migrations import migrate
from services.infra.settings import read_settings
from services.notification.settings import NotificationSettings

SERVICES = Path(__file__).parents[1]
MIGRATIONS = (SERVICES / "infra/messaging/consumer_migrations", SERVICES / "notification/migrations")


async def migrate_notification(settings: NotificationSettings) -> None:
    """Apply new migrations to the consumer's tables, then to notification's own."""
    for folder in MIGRATIONS:
        await migrate(settings.database_dsn.get_secret_value(), folder)


if __name__ == "__main__":
    program.main("notification", lambda _: asyncio.run(migrate_notification(read_settings(NotificationSettings))))
