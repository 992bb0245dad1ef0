"""Migration of the order databases, and of an event log in PostgreSQL: `python -m services.order.migrate`."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from services.infra import program
from services.infra.migrations import migrate
from services.infra.settings import read_settings
from services.order.settings import OrderContextSettings

SERVICES = Path(__file__).parents[1]
MIGRATIONS = (SERVICES / "order/migrations",)
READ_MIGRATIONS = (SERVICES / "infra/messaging/consumer_migrations", SERVICES / "order/read_migrations")
LOG_MIGRATIONS = (SERVICES / "infra/messaging/log_migrations",)


async def migrate_order(settings: OrderContextSettings) -> None:
    """Apply new migrations to the databases of orders, of the read model, and of the event log."""
    log_url = settings.event_log_url.get_secret_value()
    for dsn, folders in (
        (settings.database_dsn.get_secret_value(), MIGRATIONS),
        (settings.read_database_dsn.get_secret_value(), READ_MIGRATIONS),
        (log_url, LOG_MIGRATIONS if urlsplit(log_url).scheme.startswith("postgres") else ()),
    ):
        for folder in folders:
            await migrate(dsn, folder)


if __name__ == "__main__":
    program.main("order", lambda _: asyncio.run(migrate_order(read_settings(OrderContextSettings))))
