"""Composition of the notification context: its use case, adapters and workers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from observability.telemetry.messaging import ConsumerTelemetry
from observability.telemetry.telemetry import Telemetry
from services.infra.backoff import full_jitter_seconds
from services.infra.messaging.consumer import Consumer, Handle, cursor_name
from services.infra.messaging.log import EventLog
from services.infra.messaging.open_log import open_logs
from services.infra.postgres import Database
from services.infra.readiness import Check
from services.infra.schema import schema_check
from services.infra.worker import Worker
from services.kernel.clock import Clock, utc_now
from services.notification.adapters.folder import FolderSender
from services.notification.adapters.mail import Addresses
from services.notification.adapters.postgres import SENDER, PostgresNotifications, record
from services.notification.application.commands.send_confirmations import SendConfirmationsHandler
from services.notification.application.ports import SEND_SECONDS, Sender
from services.notification.consumers.order_events import DESTINATION, OrderEvents
from services.notification.migrate import MIGRATIONS
from services.notification.settings import NotificationSettings
from services.notification.workers.send_confirmations import ObservedSender, SendStep

CONSUMER = "notification"
# Limit for the rest of a step beside the sending: a claim and a commit.
STEP_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationParts:
    """Parts of notification in a process.

    workers: background work, to be started by the process.
    handle: applies events of the consumer `CONSUMER`, also dead letters.
    consume: the step of the worker of each event log; tests call them directly.
    send: the step of the worker that sends.
    """

    workers: tuple[Worker, ...]
    handle: Handle
    consume: tuple[Callable[[], Awaitable[float]], ...]
    send: Callable[[], Awaitable[float]]


def bootstrap_notification(
    *, database: Database, logs: Sequence[EventLog], sender: Sender, telemetry: Telemetry, clock: Clock = utc_now
) -> NotificationParts:
    """Return notification on a database, the event log of each server of orders, and a sender.

    Every e-mail is observed.
    """
    notifications = PostgresNotifications(database=database)
    observed = ObservedSender(sender, telemetry=telemetry, clock=clock)
    dead_letters = telemetry.metrics.dead_letters
    dead_letters.add(0, telemetry.context, SENDER)
    handler = SendConfirmationsHandler(
        notifications=notifications,
        sender=observed,
        backoff_seconds=full_jitter_seconds,
        on_parked=lambda count: dead_letters.add(count, telemetry.context, SENDER),
    )
    send = SendStep(notifications, handler, telemetry=telemetry)
    handle = OrderEvents(record=record)
    send_worker = Worker(
        "send-confirmations", send, telemetry=telemetry, step_limit_seconds=SEND_SECONDS + STEP_SECONDS
    )

    def consuming(number: int, log: EventLog) -> Callable[[], Awaitable[float]]:
        cursor = cursor_name(CONSUMER, number)
        consumer = Consumer(
            CONSUMER,
            database=database,
            log=log,
            handle=handle,
            telemetry=ConsumerTelemetry(telemetry, consumer=cursor, destination=DESTINATION),
            cursor=cursor,
        )

        async def consume() -> float:
            """Consume one batch, then wake the sender, so that it does not wait for its next poll."""
            wait_seconds = await consumer.step()
            send_worker.wake()
            return wait_seconds

        return consume

    consume = tuple(consuming(number, log) for number, log in enumerate(logs))
    consume_workers = (
        Worker(cursor_name("notification", number), step, telemetry=telemetry) for number, step in enumerate(consume)
    )
    return NotificationParts(workers=(send_worker, *consume_workers), handle=handle, consume=consume, send=send)


def make_sender(settings: NotificationSettings) -> Sender:
    """Return the SMTP sender when the settings have an smtp_host, the folder sender otherwise. Raises OSError."""
    addresses = Addresses(settings.sender_address, settings.recipient_template)
    if settings.smtp_host is None:
        return FolderSender(settings.outbox_folder, addresses=addresses)
    from services.notification.adapters.smtp import SmtpSender, SmtpServer  # noqa: PLC0415 - only where mail is sent

    server = SmtpServer(
        settings.smtp_host,
        settings.smtp_port,
        starttls=settings.smtp_starttls,
        username=settings.smtp_username,
        password=settings.read_smtp_password(),
    )
    return SmtpSender(server, addresses=addresses)


async def open_notification(
    settings: NotificationSettings,
    *,
    telemetry: Telemetry,
    stack: AsyncExitStack,
    sender_of: Callable[[NotificationSettings], Sender] = make_sender,
) -> tuple[NotificationParts, Mapping[str, Check]]:
    """Connect to the database and the event log, which `stack` closes; return notification and its readiness checks."""
    sender = sender_of(settings)
    dsn = settings.database_dsn.get_secret_value()
    database = await Database.open(dsn, pool_size=settings.database_pool_size, telemetry=telemetry)
    stack.push_async_callback(database.close, timeout_seconds=settings.drain_grace_seconds)
    logs = await open_logs(
        settings.event_log_urls,
        telemetry=telemetry,
        stack=stack,
        allow_unsafe_sync=settings.event_log_allow_unsafe_sync,
    )
    parts = bootstrap_notification(database=database, logs=logs, sender=sender, telemetry=telemetry)
    return parts, {"notification database": schema_check(database, *MIGRATIONS)}
