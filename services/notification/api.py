"""Public interface of notification: one command, one view and its errors; it consumes events and serves no calls."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.kernel.errors import ErrorKind, ServiceError
from services.kernel.fields import check_range
from services.kernel.money import Money

MAX_LINES = 1_500


@dataclass(frozen=True, slots=True)
class RecordConfirmation:
    """Keep in mind that a customer must hear of a completed order; `event_id` makes it one, however often it comes."""

    event_id: UUID
    order_id: UUID
    customer_id: UUID
    total: Money | None
    line_count: int
    occur_time: datetime
    traceparent: str  # W3C context of the span that completed the order; may be empty

    def __post_init__(self) -> None:
        check_range("line_count", self.line_count, low=1, high=MAX_LINES, reason="INVALID_LINE_COUNT")


@dataclass(frozen=True, slots=True)
class Notification:
    """A recorded confirmation that is not sent yet, and how often sending it has failed."""

    event_id: UUID
    order_id: UUID
    customer_id: UUID
    total: Money | None
    line_count: int
    occur_time: datetime
    traceparent: str
    attempts: int


class NotificationError(ServiceError):
    """The base of notification's own errors."""


@dataclass
class EventNotUnderstood(NotificationError):
    """The event's payload is not what its type promises."""

    kind, reason = ErrorKind.INVALID, "EVENT_NOT_UNDERSTOOD"
    event_id: UUID


@dataclass
class ConfirmationNotSent(NotificationError):
    """The confirmation could not be handed over, or nobody knows whether it was."""

    kind, reason = ErrorKind.UNAVAILABLE, "CONFIRMATION_NOT_SENT"
    cause: str  # the name of an exception's type: its text may hold an address


@dataclass
class ConfirmationRefused(NotificationError):
    """The mail server will not take this confirmation, now or later: it answered 5xx to its recipient or content."""

    kind, reason = ErrorKind.INVALID, "CONFIRMATION_REFUSED"
    code: int  # of SMTP, 500 to 599
