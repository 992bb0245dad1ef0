"""What must a log of events do? A port with two durable implementations; consumers keep their own place in it.

A broker that tracks what each consumer has acknowledged would hold a second copy of that place, and the two can differ
after a crash. Here the place is saved in the transaction of the effect, and the log only has to keep its order.
"""

from collections.abc import Sequence
from typing import Protocol

from services.infra.messaging.message import Batch, LogState, Message


class Fenced(Exception):
    """Another relay has a newer epoch: this one must stop publishing at once."""


class EventLog(Protocol):
    """Any method may raise the kernel's Unavailable, Overloaded or DeadlineExceeded."""

    async def append(self, messages: Sequence[Message], *, epoch: int) -> LogState:
        """Keep the messages, in order and durably, and return the state after that.

        A message whose event_id the log holds already is left out. Raises Fenced when a higher epoch has appended.
        """

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Return up to `limit` messages after a position, in order; wait a while when there is none yet."""

    async def state(self) -> LogState:
        """Return what the log holds now."""

    async def reset(self) -> None:
        """Throw everything away and begin a new incarnation: for a log that has lost a part of what it held."""

    async def close(self) -> None:
        """Let the connections go."""
