"""Encoding of an event as a NATS message: its data as the payload, everything else in headers."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from nats.aio.msg import Msg
from nats.js.api import Header

from services.infra.messaging.message import Message, ReceivedMessage

TYPE = "Shop-Event-Type"
AGGREGATE_ID = "Shop-Aggregate-Id"
AGGREGATE_VERSION = "Shop-Aggregate-Version"
OCCUR_TIME = "Shop-Occur-Time"
EPOCH = "Shop-Relay-Epoch"
TRACEPARENT = "traceparent"

# Any client that may publish on the subject can send a message; one outside of these limits is no event.
MALFORMED = "MALFORMED_MESSAGE"
MOST_TEXT_LENGTH = 128
MOST_DATA_BYTES = 65_536
MOST_VERSION = 2**62  # the databases count to 2**63
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
STRAY_NAMESPACE = UUID("6f0e6f3c-53b0-5f0b-9a39-2f5e0c1d7a11")


def envelope(message: Message, epoch: int) -> dict[str, str]:
    """Return the headers of an event."""
    return {
        Header.MSG_ID.value: str(message.event_id),
        TYPE: message.type,
        AGGREGATE_ID: str(message.aggregate_id),
        AGGREGATE_VERSION: str(message.aggregate_version),
        OCCUR_TIME: message.occur_time.isoformat(),
        TRACEPARENT: message.traceparent,
        EPOCH: str(epoch),
    }


def identity_of(message: Msg) -> tuple[str, int] | None:
    """Return the event id of a message and the epoch of its relay; None for a message that is no event."""
    headers = message.headers or {}
    try:
        return str(UUID(headers[Header.MSG_ID])), _number(headers[EPOCH])
    except (KeyError, ValueError):
        return None


def delivery_of(message: Msg, *, incarnation: str) -> ReceivedMessage:
    """Return the event of a message with its position, or a stray message with a fault."""
    position = message.metadata.sequence.stream
    try:
        return ReceivedMessage(position, _event_of(message.headers or {}, message.data))
    except (KeyError, ValueError, OverflowError):
        return ReceivedMessage(position, _stray_of(message, f"{incarnation}/{position}"), fault=MALFORMED)


def _event_of(headers: dict[str, str], data: bytes) -> Message:
    if len(data) > MOST_DATA_BYTES:
        raise ValueError("larger than any event")
    return Message(
        event_id=UUID(headers[Header.MSG_ID]),
        type=_text(headers[TYPE]),
        aggregate_id=UUID(headers[AGGREGATE_ID]),
        aggregate_version=_number(headers[AGGREGATE_VERSION]),
        occur_time=_time(headers[OCCUR_TIME]),
        traceparent=_text(headers[TRACEPARENT]),
        data=data,
    )


def _stray_of(message: Msg, name: str) -> Message:
    """Return a stray message as it is parked: ids derived from its position, and truncated data."""
    stray_id = uuid5(STRAY_NAMESPACE, name)
    return Message(
        event_id=stray_id,
        type="malformed",
        aggregate_id=stray_id,
        aggregate_version=0,
        occur_time=message.metadata.timestamp,
        traceparent="",
        data=message.data[:MOST_DATA_BYTES],
    )


def _text(text: str) -> str:
    if len(text) > MOST_TEXT_LENGTH or not text.isascii() or not text.isprintable():
        raise ValueError("not a short line of printable ASCII")
    return text


def _number(text: str) -> int:
    if not 0 < (number := int(text)) <= MOST_VERSION:
        raise ValueError("out of range")
    return number


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or not EARLIEST <= time <= LATEST:
        raise ValueError("out of range")
    return time
