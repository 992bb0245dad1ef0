"""What travels: one event of one aggregate, as bytes with an envelope."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it is published; `data` is its protobuf, `traceparent` the W3C context of the span that made it."""

    event_id: UUID
    type: str  # such as order.completed
    aggregate_id: UUID
    aggregate_version: int
    occur_time: datetime
    traceparent: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message at its place in a log; positions grow, each is used once.

    `fault` says why it is no event, for a message of another make: it is to be parked, with what `message` keeps of it.
    """

    position: int
    message: Message
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class LogState:
    """What a log holds: which log it is (another after a wipe), its last position, and how many messages."""

    incarnation: str
    head: int
    count: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Some deliveries in order, and the log they were read from."""

    state: LogState
    deliveries: tuple[ReceivedMessage, ...]


def without_repeats(messages: Iterable[Message]) -> list[Message]:
    """Return the messages in order, of each event the first."""
    first: dict[UUID, Message] = {}
    for message in messages:
        first.setdefault(message.event_id, message)
    return list(first.values())
