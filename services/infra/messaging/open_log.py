"""Factory of event logs: opens a PostgreSQL or NATS log by the scheme of its URL."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from observability.telemetry.telemetry import Telemetry
from services.infra.messaging.log import EventLog
from services.infra.messaging.postgres_log import PostgresLog
from services.infra.postgres import Database

POOL_SIZE = 4


async def open_log(
    url: str,
    *,
    telemetry: Telemetry,
    pool_size: int = POOL_SIZE,
    allow_unsafe_sync: bool = False,
    name: str = "event_log",
) -> EventLog:
    """Connect to the log at a URL; `pool_size` applies to PostgreSQL only, `allow_unsafe_sync` to NATS only.

    `name` is that of the connection pool in metrics. The path of a NATS URL is the name of the stream, if it has one.

    Raises ValueError for another scheme, and what Database.open or NatsLog.open raises.
    """
    match urlsplit(url).scheme:
        case "postgresql" | "postgres":
            database = await Database.open(url, pool_size=pool_size, telemetry=telemetry, name=name)
            return PostgresLog(database=database)
        case "nats":
            from services.infra.messaging.nats_log import NatsLog  # noqa: PLC0415 - 0.3 s, only for NATS

            return await NatsLog.open(url, allow_unsafe_sync=allow_unsafe_sync)
        case _:
            # The URL is not quoted, since it may contain a password.
            raise ValueError("the event log's address must begin with postgresql://, postgres:// or nats://")


async def open_logs(
    urls: Sequence[str],
    *,
    telemetry: Telemetry,
    stack: AsyncExitStack,
    pool_size: int = POOL_SIZE,
    allow_unsafe_sync: bool = False,
) -> list[EventLog]:
    """Connect to the log of each server of orders, which `stack` closes. Raises as open_log does."""
    logs = []
    for number, url in enumerate(urls):
        name = f"event_log_{number}" if number else "event_log"
        log = await open_log(
            url, telemetry=telemetry, pool_size=pool_size, allow_unsafe_sync=allow_unsafe_sync, name=name
        )
        logs.append(log)
        stack.push_async_callback(log.close)
    return logs
