"""A log in a list; satisfies `messaging.log.EventLog` as the durable ones do, and repeats itself when it is told to."""

from collections.abc import Sequence
from uuid import uuid4

from services.infra.messaging.log import Fenced, Replaced
from services.infra.messaging.message import Batch, LogState, Message, ReceivedMessage, without_repeats


class MemoryLog:
    """Never waits. `messages` may be changed by hand: what is put there is delivered, repeats too."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.incarnation = str(uuid4())
        self.epoch = 0

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str) -> LogState:
        """Keep what is new."""
        self._fence(epoch)
        if incarnation != self.incarnation:
            raise Replaced
        self.epoch = epoch
        known = {message.event_id for message in self.messages}
        self.messages += [message for message in without_repeats(messages) if message.event_id not in known]
        return await self.state()

    def redeliver(self, *messages: Message) -> None:
        """Put messages at the end, whether the log holds them or not, as a broker does that forgets what it had."""
        self.messages += messages

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Return what comes after a position."""
        some = self.messages[after : after + limit]
        deliveries = tuple(ReceivedMessage(after + step, message) for step, message in enumerate(some, start=1))
        return Batch(await self.state(), deliveries)

    async def state(self) -> LogState:
        """Return what the list holds."""
        return LogState(self.incarnation, len(self.messages), len(self.messages))

    async def reset(self, *, epoch: int | None = None) -> None:
        """Begin anew, with nothing."""
        if epoch is not None:
            self._fence(epoch)
        self.messages.clear()
        self.incarnation = str(uuid4())

    async def close(self) -> None:
        """Nothing to close."""

    def _fence(self, epoch: int) -> None:
        if self.epoch > epoch:
            raise Fenced(self.epoch)
