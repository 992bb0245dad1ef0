"""Helpers to cancel a rebuild of the read model, or to run an action in the middle of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from services.infra.messaging.log import EventLog
from services.infra.messaging.message import Batch, LogState, Message
from services.order.workers.rebuild import BATCH_SIZE, Progress, Rebuild, Rebuilt
from tests.contract.shop import Shop


async def nothing() -> None:
    """Let nothing happen."""


@dataclass(slots=True)
class WatchedLog:
    """The real log; notes where it is read, and lets something happen just before one of the reads."""

    log: EventLog
    before_read: int = 0
    happens: Callable[[], Awaitable[object]] = nothing
    read_after: list[int] = field(default_factory=list)

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Read it."""
        self.read_after.append(after)
        if len(self.read_after) == self.before_read:
            await self.happens()
        return await self.log.read(after=after, limit=limit, wait_seconds=wait_seconds)

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str, count: int = 0) -> LogState:
        """Append to it."""
        return await self.log.append(messages, epoch=epoch, incarnation=incarnation, count=count)

    async def state(self) -> LogState:
        """Ask it."""
        return await self.log.state()

    async def reset(self, *, epoch: int | None = None) -> None:
        """Wipe it."""
        await self.log.reset(epoch=epoch)

    async def close(self) -> None:
        """Leave it to the shop."""


def silent(_position: int, _head: int) -> None:
    """Show no progress."""


def rebuild(
    shop: Shop, *, log: EventLog | None = None, batch_size: int = BATCH_SIZE, progress: Progress = silent
) -> Rebuild:
    """Return a rebuild of a shop's list."""
    database = shop.databases["order_read"]
    return Rebuild(database=database, logs=[log or shop.log], batch_size=batch_size, progress=progress)


async def cut_off_at(shop: Shop, position: int) -> None:
    """Begin a rebuild in batches of two, and cancel it when it has reached a position of the log."""

    def cancel(reached: int, _head: int) -> None:
        if reached == position:
            task.cancel()

    task: asyncio.Task[Rebuilt] = asyncio.create_task(rebuild(shop, batch_size=2, progress=cancel).run())
    with pytest.raises(asyncio.CancelledError):
        await task
