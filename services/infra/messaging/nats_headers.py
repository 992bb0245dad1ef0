"""How does an event travel in a message of NATS? Its data as they are, everything else in headers."""

from datetime import datetime
from uuid import UUID

from nats.aio.msg import Msg
from nats.js.api import Header

from services.infra.messaging.message import Delivery, Message

TYPE = "Shop-Event-Type"
AGGREGATE_ID = "Shop-Aggregate-Id"
AGGREGATE_VERSION = "Shop-Aggregate-Version"
OCCUR_TIME = "Shop-Occur-Time"
EPOCH = "Shop-Relay-Epoch"
TRACEPARENT = "traceparent"


def envelope(message: Message, epoch: int) -> dict[str, str]:
    """Return what is published beside an event's data."""
    return {
        Header.MSG_ID.value: str(message.event_id),
        TYPE: message.type,
        AGGREGATE_ID: str(message.aggregate_id),
        AGGREGATE_VERSION: str(message.aggregate_version),
        OCCUR_TIME: message.occur_time.isoformat(),
        TRACEPARENT: message.traceparent,
        EPOCH: str(epoch),
    }


def headers_of(message: Msg) -> dict[str, str]:
    """Return what came beside it."""
    return message.headers or {}


def delivery_of(message: Msg) -> Delivery:
    """Return the event that a message carries, and its place. Raises KeyError or ValueError for one of another make."""
    headers = headers_of(message)
    return Delivery(
        message.metadata.sequence.stream,
        Message(
            event_id=UUID(headers[Header.MSG_ID]),
            type=headers[TYPE],
            aggregate_id=UUID(headers[AGGREGATE_ID]),
            aggregate_version=int(headers[AGGREGATE_VERSION]),
            occur_time=datetime.fromisoformat(headers[OCCUR_TIME]),
            traceparent=headers[TRACEPARENT],
            data=message.data,
        ),
    )
