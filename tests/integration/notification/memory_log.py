"""A log in a list, which a test writes, repeats and wipes by hand; satisfies `messaging.log.EventLog`."""

from collections.abc import Sequence
from uuid import uuid4

from services.infra.messaging.message import Batch, Delivery, LogState, Message


class MemoryLog:
    """Unlike a durable log it delivers a repeated message again. It never waits, and fences nobody."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.incarnation = str(uuid4())

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str) -> LogState:
        """Keep the messages."""
        self.messages.extend(messages)
        return await self.state()

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Return what comes after a position."""
        some = self.messages[after : after + limit]
        deliveries = tuple(Delivery(after + step, message) for step, message in enumerate(some, start=1))
        return Batch(await self.state(), deliveries)

    async def state(self) -> LogState:
        """Return what the list holds."""
        return LogState(self.incarnation, len(self.messages), len(self.messages))

    async def reset(self, *, epoch: int | None = None) -> None:
        """Begin anew, with nothing."""
        self.messages.clear()
        self.incarnation = str(uuid4())

    async def close(self) -> None:
        """Nothing to close."""
