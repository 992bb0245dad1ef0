"""Opens the log of events that an address names: PostgreSQL's or NATS's, by its scheme."""

from urllib.parse import urlsplit

from observability.telemetry.telemetry import Telemetry
from services.infra.messaging.log import EventLog
from services.infra.messaging.postgres_log import PostgresLog
from services.infra.postgres import Database

POOL_SIZE = 4


async def open_log(
    url: str, *, telemetry: Telemetry, pool_size: int = POOL_SIZE, allow_unsafe_sync: bool = False
) -> EventLog:
    """Connect to the log at an address; `pool_size` concerns PostgreSQL alone, `allow_unsafe_sync` NATS alone.

    Raises ValueError for another scheme, and what Database.open or NatsLog.open raises.
    """
    match urlsplit(url).scheme:
        case "postgresql" | "postgres":
            database = await Database.open(url, pool_size=pool_size, telemetry=telemetry, name="event_log")
            return PostgresLog(database=database)
        case "nats":
            from services.infra.messaging.nats_log import NatsLog  # noqa: PLC0415 - 0.3 s that PostgreSQL has no use for

            return await NatsLog.open(url, allow_unsafe_sync=allow_unsafe_sync)
        case _:
            # Without quoting the address: it may hold a password.
            raise ValueError("the event log's address must begin with postgresql://, postgres:// or nats://")
