"""Event log in a list; satisfies `messaging.log.EventLog`, and delivers messages again on demand."""

from collections.abc import Sequence
from uuid import uuid4

from services.infra.messaging.log import Fenced, Replaced
from services.infra.messaging.message import Batch, LogState, Message, ReceivedMessage, without_repeats


class MemoryLog:
    """Event log that never waits. Tests may add to `messages`: all of it is delivered, repeats too."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.incarnation = str(uuid4())
        self.epoch = 0

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str, count: int = 0) -> LogState:
        """Append the messages that are new."""
        self._fence(epoch)
        if incarnation != self.incarnation or len(self.messages) < count:
            raise Replaced
        self.epoch = epoch
        known = {message.event_id for message in self.messages}
        self.messages += [message for message in without_repeats(messages) if message.event_id not in known]
        return await self.state()

    def redeliver(self, *messages: Message) -> None:
        """Append messages even when the log holds them, as a broker does that lost its record of them."""
        self.messages += messages

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Return the messages after a position."""
        some = self.messages[after : after + limit]
        deliveries = tuple(ReceivedMessage(after + step, message) for step, message in enumerate(some, start=1))
        return Batch(await self.state(), deliveries)

    async def state(self) -> LogState:
        """Return the state of the list."""
        return LogState(self.incarnation, len(self.messages), len(self.messages))

    async def reset(self, *, epoch: int | None = None) -> None:
        """Replace the log with an empty one."""
        if epoch is not None:
            self._fence(epoch)
        self.messages.clear()
        self.incarnation = str(uuid4())

    async def close(self) -> None:
        """Do nothing: there is no connection to close."""

    def _fence(self, epoch: int) -> None:
        if self.epoch > epoch:
            raise Fenced(self.epoch)
