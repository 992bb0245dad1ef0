"""Factory of event logs: opens a PostgreSQL or NATS log by the scheme of its URL."""

from urllib.parse import urlsplit

from observability.telemetry.telemetry import Telemetry
from services.infra.messaging.log import EventLog
from services.infra.messaging.postgres_log import PostgresLog
from services.infra.postgres import Database

POOL_SIZE = 4


async def open_log(
    url: str, *, telemetry: Telemetry, pool_size: int = POOL_SIZE, allow_unsafe_sync: bool = False
) -> EventLog:
    """Connect to the log at a URL; `pool_size` applies to PostgreSQL only, `allow_unsafe_sync` to NATS only.

    Raises ValueError for another scheme, and what Database.open or NatsLog.open raises.
    """
    match urlsplit(url).scheme:
        case "postgresql" | "postgres":
            database = await Database.open(url, pool_size=pool_size, telemetry=telemetry, name="event_log")
            return PostgresLog(database=database)
        case "nats":
            from services.infra.messaging.nats_log import NatsLog  # noqa: PLC0415 - 0.3 s, only for NATS

            return await NatsLog.open(url, allow_unsafe_sync=allow_unsafe_sync)
        case _:
            # The URL is not quoted, since it may contain a password.
            raise ValueError("the event log's address must begin with postgresql://, postgres:// or nats://")
