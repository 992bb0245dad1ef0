"""The composition root of notification: the only place that knows its concrete adapters."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from observability.telemetry.links import link_to
from observability.telemetry.messaging import ConsumerTelemetry
from observability.telemetry.telemetry import Telemetry
from observability.telemetry.use_case import UseCaseRun
from services.infra.backoff import full_jitter_seconds
from services.infra.crash_points import crash_points
from services.infra.messaging.consumer import Consumer, Handle
from services.infra.messaging.log import EventLog
from services.infra.postgres import Database
from services.infra.worker import Worker
from services.kernel.clock import Clock, utc_now
from services.kernel.errors import Internal
from services.notification.adapters.folder import FolderSender
from services.notification.adapters.mail import Addresses
from services.notification.adapters.postgres import SENDER, PostgresNotifications, record
from services.notification.api import ConfirmationNotSent, ConfirmationRefused, Notification
from services.notification.application.commands.send_confirmations import SendConfirmationsHandler
from services.notification.application.ports import BATCH_SIZE, SEND_SECONDS, Sender
from services.notification.consumers.order_events import DESTINATION, OrderEvents
from services.notification.settings import NotificationSettings

CONSUMER = "notification"
POLL_SECONDS = 0.5
# What a step takes beside the sending: a claim and a commit.
STEP_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationParts:
    """What runs in the process. `handle` is for replaying dead letters of the consumer `CONSUMER`.

    `consume` and `send` are the steps of the two workers, for whoever takes them by hand.
    """

    workers: tuple[Worker, ...]
    handle: Handle
    consume: Callable[[], Awaitable[float]]
    send: Callable[[], Awaitable[float]]


def bootstrap_notification(
    *, database: Database, log: EventLog, sender: Sender, telemetry: Telemetry, clock: Clock = utc_now
) -> NotificationParts:
    """Return notification on a database, an event log and a sender; every sending is observed."""
    notifications = PostgresNotifications(database=database)
    observed = ObservedSender(sender, telemetry=telemetry, clock=clock)
    dead_letters = telemetry.metrics.dead_letters
    dead_letters.add(0, telemetry.context, SENDER)
    handler = SendConfirmationsHandler(
        notifications=notifications,
        sender=observed,
        backoff_seconds=full_jitter_seconds,
        set_aside=lambda count: dead_letters.add(count, telemetry.context, SENDER),
    )
    send = SendStep(notifications, handler, telemetry=telemetry)
    handle = OrderEvents(record=record)
    consumer = Consumer(
        CONSUMER,
        database=database,
        log=log,
        handle=handle,
        telemetry=ConsumerTelemetry(telemetry, consumer=CONSUMER, destination=DESTINATION),
    )
    send_worker = Worker(
        "send-confirmations", send, telemetry=telemetry, step_limit_seconds=SEND_SECONDS + STEP_SECONDS
    )

    async def consume() -> float:
        """Consume one batch, then let the sender look at once rather than when its time comes."""
        wait_seconds = await consumer.step()
        send_worker.wake()
        return wait_seconds

    consume_worker = Worker("notification", consume, telemetry=telemetry)
    return NotificationParts(workers=(send_worker, consume_worker), handle=handle, consume=consume, send=send)


def make_sender(settings: NotificationSettings) -> Sender:
    """Return the sender that the settings ask for: SMTP with an smtp_host, a folder without. Raises OSError."""
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


class SendStep:
    """A worker's step: sends a batch when something is due, and publishes how much waits."""

    def __init__(
        self, notifications: PostgresNotifications, handler: SendConfirmationsHandler, *, telemetry: Telemetry
    ) -> None:
        self._notifications = notifications
        self._handler = handler
        self._pending = 0
        telemetry.metrics.notifications_pending.read_from(lambda: float(self._pending), telemetry.context)

    async def __call__(self) -> float:
        """Return 0 s when there may be more."""
        backlog = await self._notifications.backlog()
        self._pending = backlog.pending
        if backlog.due and await self._handler(BATCH_SIZE):
            return 0.0
        return POLL_SECONDS


class ObservedSender:
    """Satisfies `ports.Sender` around another: one trace a sending, linked to the one that completed the order.

    Of the customer it says nothing: the order's id is all that spans and logs hold.
    """

    def __init__(self, sender: Sender, *, telemetry: Telemetry, clock: Clock) -> None:
        self._sender = sender
        self._telemetry = telemetry
        self._clock = clock
        self._run = UseCaseRun(telemetry, "send_confirmation", Internal, None)
        telemetry.metrics.notifications_sent.add(0, telemetry.context)

    async def send(self, notification: Notification) -> None:
        """Send and record. Raises ConfirmationNotSent, ConfirmationRefused, and Internal for a bug."""
        telemetry, link = self._telemetry, link_to(notification.traceparent)
        with telemetry.tracer.start_as_current_span(
            "notification.send_confirmation",
            context=Context(),
            kind=SpanKind.CLIENT,
            attributes={
                "shop.context": telemetry.context,
                "shop.use_case": "send_confirmation",
                "shop.order.id": str(notification.order_id),
            },
            links=[link] if link else [],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            order_id = str(notification.order_id)
            try:
                await self._run(span, self._pass_on(notification))
            except ConfirmationNotSent as error:
                span.set_attribute("error.type", error.cause)
                telemetry.log.warning("notification.confirmation_not_sent", order_id=order_id, error_type=error.cause)
                raise
            except ConfirmationRefused as error:
                span.set_attribute("error.type", str(error.code))
                telemetry.log.warning("notification.confirmation_refused", order_id=order_id, smtp_code=error.code)
                raise
            span.set_attribute("shop.event.age_seconds", (self._clock() - notification.occur_time).total_seconds())
            telemetry.metrics.notifications_sent.add(1, telemetry.context)
            telemetry.log.info("notification.confirmation_sent", order_id=order_id)

    async def _pass_on(self, notification: Notification) -> None:
        crash_points.reached("notification.before_send")
        await self._sender.send(notification)
        crash_points.reached("notification.after_send")
