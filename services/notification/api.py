"""Public interface of notification: a command, a view and errors. The context consumes events and serves no calls."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.kernel.errors import ErrorKind, ServiceError
from services.kernel.fields import check_range
from services.kernel.money import Money

MAX_LINES = 1_500


@dataclass(frozen=True, slots=True)
class RecordConfirmation:
    """Record that a completed order needs a confirmation.

    event_id: the event; a repeat of it records nothing.
    order_id: the completed order.
    customer_id: its customer.
    total: its total; None when the event has none.
    line_count: its lines, 1 to 1,500.
    occur_time: when it was completed.
    traceparent: W3C context of the span that completed it; may be empty.
    """

    event_id: UUID
    order_id: UUID
    customer_id: UUID
    total: Money | None
    line_count: int
    occur_time: datetime
    traceparent: str

    def __post_init__(self) -> None:
        check_range("line_count", self.line_count, low=1, high=MAX_LINES, reason="INVALID_LINE_COUNT")


@dataclass(frozen=True, slots=True)
class Notification:
    """A recorded confirmation that is not sent yet; the fields are those of RecordConfirmation.

    attempts: number of failed attempts to send it.
    """

    event_id: UUID
    order_id: UUID
    customer_id: UUID
    total: Money | None
    line_count: int
    occur_time: datetime
    traceparent: str
    attempts: int


class NotificationError(ServiceError):
    """Base of notification's own errors."""


@dataclass
class EventNotUnderstood(NotificationError):
    """The event's payload is not what its type promises."""

    kind, reason = ErrorKind.INVALID, "EVENT_NOT_UNDERSTOOD"
    event_id: UUID


@dataclass
class ConfirmationNotSent(NotificationError):
    """The confirmation was not sent, or it is unknown whether it was."""

    kind, reason = ErrorKind.UNAVAILABLE, "CONFIRMATION_NOT_SENT"
    cause: str  # the name of an exception's type: its text may hold an address


@dataclass
class ConfirmationRefused(NotificationError):
    """The mail server rejected this confirmation for good: it answered 5xx to the recipient or the content."""

    kind, reason = ErrorKind.INVALID, "CONFIRMATION_REFUSED"
    code: int  # of SMTP, 500 to 599
