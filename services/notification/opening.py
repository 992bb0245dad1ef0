"""Opens notification in a process: its database and the event log, which are closed with the stack."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from observability.telemetry.telemetry import Telemetry
from services.infra.messaging.open_log import open_log
from services.infra.postgres import Database
from services.infra.readiness import Check
from services.infra.schema import schema_check
from services.notification.application.ports import Sender
from services.notification.bootstrap import NotificationParts, bootstrap_notification, make_sender
from services.notification.migrate import MIGRATIONS
from services.notification.settings import NotificationSettings


async def open_notification(
    settings: NotificationSettings,
    *,
    telemetry: Telemetry,
    stack: AsyncExitStack,
    sender_of: Callable[[NotificationSettings], Sender] = make_sender,
) -> tuple[NotificationParts, Mapping[str, Check]]:
    """Return notification, and what must answer for it to be ready."""
    sender = sender_of(settings)
    dsn = settings.database_dsn.get_secret_value()
    database = await Database.open(dsn, pool_size=settings.database_pool_size, telemetry=telemetry)
    stack.push_async_callback(database.close, timeout_seconds=settings.drain_grace_seconds)
    log = await open_log(
        settings.event_log_url.get_secret_value(),
        telemetry=telemetry,
        allow_unsafe_sync=settings.event_log_allow_unsafe_sync,
    )
    stack.push_async_callback(log.close)
    parts = bootstrap_notification(database=database, log=log, sender=sender, telemetry=telemetry)
    return parts, {"notification database": schema_check(database, *MIGRATIONS)}
