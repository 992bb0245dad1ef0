"""Messages of the event log: an event of an aggregate, as bytes with an envelope."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Message:
    """A published event; `data` is its protobuf, `traceparent` the W3C context of the span that stored it."""

    event_id: UUID
    type: str  # such as order.completed
    aggregate_id: UUID
    aggregate_version: int
    occur_time: datetime
    traceparent: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message at its position in a log; positions grow, and each is used once.

    `fault` is the reason why a message is no event, such as MALFORMED_MESSAGE: the consumer parks it, and `message`
    holds what could be read of it.
    """

    position: int
    message: Message
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class LogState:
    """State of a log: its incarnation (a new one after a reset), its last position, and its number of messages."""

    incarnation: str
    head: int
    count: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Deliveries in order, and the state of the log that they were read from."""

    state: LogState
    deliveries: tuple[ReceivedMessage, ...]


def without_repeats(messages: Iterable[Message]) -> list[Message]:
    """Return the messages in order, only the first of each event."""
    first: dict[UUID, Message] = {}
    for message in messages:
        first.setdefault(message.event_id, message)
    return list(first.values())
