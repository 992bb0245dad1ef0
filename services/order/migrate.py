"""Migration of the order databases, and of an event log in PostgreSQL: `python -m services.order.migrate`."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from services.infra import program
from services.infra.migrations import migrate
from services.infra.settings import read_settings
from services.order.domain.shard_map import ALL_ON_FIRST, spread
from services.order.settings import OrderContextSettings

SERVICES = Path(__file__).parents[1]
MIGRATIONS = (SERVICES / "order/migrations",)
READ_MIGRATIONS = (SERVICES / "infra/messaging/consumer_migrations", SERVICES / "order/read_migrations")
LOG_MIGRATIONS = (SERVICES / "infra/messaging/log_migrations",)
CONNECT_SECONDS = 5.0


async def migrate_order(settings: OrderContextSettings) -> None:
    """Apply new migrations to the databases of orders, of the read model, and of the event logs."""
    logs = [url for url in settings.event_log_urls if urlsplit(url).scheme.startswith("postgres")]
    for dsn, folders in (
        *((dsn, MIGRATIONS) for dsn in settings.order_dsns),
        (settings.read_database_dsn.get_secret_value(), READ_MIGRATIONS),
        *((url, LOG_MIGRATIONS) for url in logs),
    ):
        for folder in folders:
            await migrate(dsn, folder)
    if len(settings.order_dsns) > 1:
        await store_first_map(settings.order_dsns[0], len(settings.order_dsns))


async def store_first_map(dsn: str, servers: int) -> None:
    """Store the first shard map on server 0, at this address, unless it has one.

    The logical shards are spread evenly over the servers. Servers that are added to a shop with orders stay empty,
    since its orders would have to be moved.
    """
    first = spread(servers, epoch=1)
    # Purpose: orders that server 0 has already must stay there, so the map then gives it all logical shards.
    insert = """
        INSERT INTO shard_map (epoch, servers)
        SELECT $1, CASE WHEN EXISTS (SELECT FROM orders) THEN $3::smallint[] ELSE $2::smallint[] END
        WHERE NOT EXISTS (SELECT FROM shard_map)
        ON CONFLICT DO NOTHING"""
    arguments = (first.epoch, list(first.servers), list(ALL_ON_FIRST.servers))
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        await connection.execute(insert, *arguments, timeout=CONNECT_SECONDS)
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


if __name__ == "__main__":
    program.main("order", lambda _: asyncio.run(migrate_order(read_settings(OrderContextSettings))))
