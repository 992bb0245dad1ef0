"""What must a log of events do? A port with two durable implementations; consumers keep their own place in it.

A broker that tracks what each consumer has acknowledged would hold a second copy of that place, and the two can differ
after a crash. Here the place is saved in the transaction of the effect, and the log only has to keep its order.
"""

from collections.abc import Sequence
from typing import Protocol

from services.infra.messaging.message import Batch, LogState, Message


class Fenced(Exception):
    """Another relay has a newer epoch, which is `epoch` where it is known: this one must stop publishing at once."""

    def __init__(self, epoch: int = 0) -> None:
        super().__init__(epoch)
        self.epoch = epoch


class Replaced(Exception):
    """The log is not the one that the caller looked at: it was wiped meanwhile, and nothing was appended to it."""


class EventLog(Protocol):
    """Any method may raise the kernel's Unavailable, Overloaded or DeadlineExceeded."""

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str) -> LogState:
        """Keep the messages, in order and durably, and return the state after that.

        A message whose event_id the log holds already is left out. Raises Fenced when a higher epoch has appended, and
        Replaced when the log is of another incarnation: what comes first in a new log must be its relay's choice.
        """

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Return up to `limit` messages after a position, in order; wait a while when there is none yet."""

    async def state(self) -> LogState:
        """Return what the log holds now; one that is not there is begun."""

    async def reset(self, *, epoch: int | None = None) -> None:
        """Throw everything away and begin a new incarnation: for a log that has lost a part of what it held.

        Raises Fenced when a higher epoch has appended; without an epoch it is a person's doing, which nothing fences.
        """

    async def close(self) -> None:
        """Let the connections go."""
