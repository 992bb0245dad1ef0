"""The worker that sends confirmations, and a sender that traces, counts and logs each e-mail."""

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from observability.telemetry.links import link_to
from observability.telemetry.telemetry import Telemetry
from observability.telemetry.use_case import UseCaseRun
from services.infra.crash_points import crash_points
from services.kernel.clock import Clock
from services.kernel.errors import Internal
from services.notification.adapters.postgres import PostgresNotifications
from services.notification.api import ConfirmationNotSent, ConfirmationRefused, Notification
from services.notification.application.commands.send_confirmations import SendConfirmationsHandler
from services.notification.application.ports import BATCH_SIZE, Sender

POLL_SECONDS = 0.5


class SendStep:
    """Step of the worker: sends a batch when some are due, and publishes how many are pending."""

    def __init__(
        self, notifications: PostgresNotifications, handler: SendConfirmationsHandler, *, telemetry: Telemetry
    ) -> None:
        self._notifications = notifications
        self._handler = handler
        self._pending = 0
        telemetry.metrics.notifications_pending.read_from(lambda: float(self._pending), telemetry.context)

    async def __call__(self) -> float:
        """Send one batch; return the seconds to wait before the next step."""
        backlog = await self._notifications.backlog()
        self._pending = backlog.pending
        if backlog.due and await self._handler(BATCH_SIZE):
            return 0.0
        return POLL_SECONDS


class ObservedSender:
    """Wraps a `ports.Sender`: each e-mail has a trace of its own, linked to the span that completed the order.

    Spans and logs hold the order's id and nothing of the customer.
    """

    def __init__(self, sender: Sender, *, telemetry: Telemetry, clock: Clock) -> None:
        self._sender = sender
        self._telemetry = telemetry
        self._clock = clock
        self._run = UseCaseRun(telemetry, "send_confirmation", Internal, None)
        telemetry.metrics.notifications_sent.add(0, telemetry.context)

    async def send(self, notification: Notification) -> None:
        """Send and record the result. Raises ConfirmationNotSent, ConfirmationRefused, and Internal for a bug."""
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
                await self._run(span, self._send(notification))
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

    async def _send(self, notification: Notification) -> None:
        crash_points.reached("notification.before_send")
        await self._sender.send(notification)
        crash_points.reached("notification.after_send")
