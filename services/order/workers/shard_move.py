"""Move of one logical shard to another order database server, while its customers place orders.

The target copies the rows and follows their changes. Then the source is fenced, the target applies the last changes,
and the map of the next epoch is stored. From the fence until then the logical shard's customers wait. The same call
continues a move that was killed, wherever that was.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TypeVar

import asyncpg

from services.infra.crash_points import crash_points
from services.order.adapters.shard_move_register import MoveRegister
from services.order.adapters.shard_move_session import Move, MoveRefused, MoveSession
from services.order.adapters.shard_move_source import MoveSource
from services.order.adapters.shard_move_target import MoveTarget

Result = TypeVar("Result")

LOCK_SECONDS = 10.0
COPY_SECONDS = 3_600.0
FOLLOW_SECONDS = 600.0
# The customers of the logical shard wait for this. Beyond it the source takes the logical shard back.
DRAIN_SECONDS = 2.0
PAUSE_SECONDS = 30.0
SLOT_SECONDS = 30.0
POLL_SECONDS = 0.1
DRAIN_POLL_SECONDS = 0.005
# The source is fenced once the target is less than this behind.
NEARLY_BYTES = 1_000_000
# A lock of a busy table is attempted again, so that requests do not wait behind it for long.
LOCK_ATTEMPTS = 100
LOCK_PAUSE_SECONDS = 0.1

Say = Callable[[str], None]


class MoveStalled(Exception):
    """A step of the move took too long."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move did.

    move: the move.
    waited_seconds: time from the fence to the new map; None if an earlier process had fenced.
    """

    move: Move
    waited_seconds: float | None


async def interrupted_move(dsns: Sequence[str]) -> Move | None:
    """Return the move that is to be continued. Raises OSError, asyncpg.PostgresError."""
    async with MoveSession.open(dsns[0]) as home:
        return await MoveRegister(home).current()


async def move_shard(dsns: Sequence[str], logical_shard: int, target: int, *, say: Say) -> Moved:
    """Move a logical shard to a server, or continue to. `dsns` are the servers of orders, in order of their numbers.

    The target's server reaches the source's at its DSN. Raises MoveRefused, MoveStalled, OSError,
    asyncpg.PostgresError.
    """
    async with AsyncExitStack() as stack:
        register = MoveRegister(await stack.enter_async_context(MoveSession.open(dsns[0])))
        # The server notices the end of a process that was killed within a moment.
        await until("no other process moves a logical shard", register.lock, seconds=LOCK_SECONDS)
        stored = await register.current()
        if stored and (stored.logical_shard, stored.target) != (logical_shard, target):
            raise MoveRefused(
                f"the move of logical shard {stored.logical_shard} to server {stored.target} is not complete: finish "
                f"it first, with `plumb shards move {stored.logical_shard} {stored.target}`"
            )
        move = stored or await register.plan(logical_shard, target)
        source = MoveSource(await stack.enter_async_context(MoveSession.open(dsns[move.source])), move)
        destination = MoveTarget(await stack.enter_async_context(MoveSession.open(dsns[move.target])), move)
        if not stored:
            await source.check()
            await destination.check()
            await unlocked(partial(register.begin, move))
        return await ShardMove(register, source, destination, move=move, source_dsn=dsns[move.source], say=say).run()


class ShardMove:
    """A move that is stored, and its steps in order. Each step begins by looking whether it was made before."""

    def __init__(
        self, register: MoveRegister, source: MoveSource, target: MoveTarget, *, move: Move, source_dsn: str, say: Say
    ) -> None:
        self._register = register
        self._source = source
        self._target = target
        self._move = move
        self._source_dsn = source_dsn
        self._say = say

    async def run(self) -> Moved:
        """Make all steps that are left."""
        waited_seconds = None
        if not self._move.flipped:
            if not await self._target.is_active():
                await self._copy()
                began = monotonic()
                await self._hand_over()
                await self._flip()
                waited_seconds = monotonic() - began
            else:
                await self._flip()
        self._say("the new map is stored: deleting the rows on the source")
        await until("the replication slot is free", self._source.drop_slot, seconds=SLOT_SECONDS)
        await unlocked(self._source.clean)
        await unlocked(partial(self._register.end, self._move))
        return Moved(self._move, waited_seconds)

    async def _copy(self) -> None:
        """Copy the rows, put them in order, and wait until the target has nearly all changes since."""
        self._say("copying")
        if await self._target.is_subscribed() and not await self._source.has_slot():
            self._say("the replication slot is lost: copying anew")
            await unlocked(self._target.unsubscribe)
        await unlocked(self._target.prepare)
        await unlocked(self._source.publish)
        await unlocked(self._source.make_slot)
        await unlocked(partial(self._target.subscribe, self._source_dsn, await self._source.slot()))
        await until("the rows are copied", self._target.is_copied, seconds=COPY_SECONDS)
        if not await self._target.is_ordered():
            self._say("putting the copied events in order")
            await unlocked(self._target.pause)
            await until("the subscription pauses", self._target.is_paused, seconds=PAUSE_SECONDS)
            await unlocked(self._target.order_events)

        async def follows() -> bool:
            return await self._source.lag_bytes() < NEARLY_BYTES

        await until("the target follows", follows, seconds=FOLLOW_SECONDS)

    async def _hand_over(self) -> None:
        """Fence the source, and let the target write once it has the last change."""
        self._say("handing over")
        position = await unlocked(self._source.fence)

        async def drained() -> bool:
            return await self._source.lag_bytes(position) <= 0

        try:
            await until("the target has the last change", drained, seconds=DRAIN_SECONDS, poll=DRAIN_POLL_SECONDS)
        except MoveStalled:
            await unlocked(self._source.take_back)
            raise
        crash_points.reached("shard_move.drained")
        await unlocked(self._target.activate)

    async def _flip(self) -> None:
        await unlocked(partial(self._register.flip, self._move))


async def until(what: str, is_so: Callable[[], Awaitable[bool]], *, seconds: float, poll: float = POLL_SECONDS) -> None:
    """Wait until a condition holds. Raises MoveStalled."""
    ends = monotonic() + seconds
    while not await is_so():
        if monotonic() >= ends:
            raise MoveStalled(f"gave up after {seconds:.0f} s of waiting until {what}")
        await asyncio.sleep(poll)


async def unlocked(step: Callable[[], Awaitable[Result]]) -> Result:
    """Run a step again until it gets the locks that requests or a killed process still hold. Raises MoveStalled."""
    for _ in range(LOCK_ATTEMPTS):
        try:
            return await step()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(LOCK_PAUSE_SECONDS)
    raise MoveStalled(f"tables were locked in each of {LOCK_ATTEMPTS} attempts")
