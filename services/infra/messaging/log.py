"""Event log: the port of a durable, ordered log; consumers store their own positions.

A broker that tracks what each consumer has acknowledged holds a second copy of that position, and the two can differ
after a crash. Here the position is saved in the transaction of the effect, and the log only has to keep the order.
"""

from collections.abc import Sequence
from typing import Protocol

from services.infra.messaging.message import Batch, LogState, Message


class Fenced(Exception):
    """Another relay has a higher epoch (`epoch`, 0 if unknown): this relay must stop publishing at once."""

    def __init__(self, epoch: int = 0) -> None:
        super().__init__(epoch)
        self.epoch = epoch


class Replaced(Exception):
    """The log was replaced by a new incarnation meanwhile, or has lost messages; nothing was appended."""


class EventLog(Protocol):
    """Port of an event log; any method may raise the kernel's Unavailable, Overloaded or DeadlineExceeded."""

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str, count: int = 0) -> LogState:
        """Append messages in order and durably, and return the state after that.

        Messages whose event_id is in the log already are skipped. Raises Fenced if a higher epoch has appended, and
        Replaced if the log has another incarnation, whose first events the relay must choose, or fewer than `count`
        messages: new ones in place of lost ones would hide the loss.
        """

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Return up to `limit` messages after a position, in order; wait up to `wait_seconds` if there is none yet."""

    async def state(self) -> LogState:
        """Return the current state; create the log if it does not exist."""

    async def reset(self, *, epoch: int | None = None) -> None:
        """Delete all messages and begin a new incarnation, for a log that has lost some of its messages.

        Raises Fenced if a higher epoch has appended. An operator passes no epoch, and is not fenced.
        """

    async def close(self) -> None:
        """Close the connections."""
