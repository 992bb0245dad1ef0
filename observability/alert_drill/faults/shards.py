"""Faults of logical shards: a move is killed at a crash point, and completed when the fault ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from observability.alert_drill.fault_context import Begin, FaultContext
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import MOVER_PROCESS

KILL_SECONDS = 120.0
MOVE_SECONDS = 120.0


def mover_killed(crash_point: str) -> Begin:
    """Return a fault in which a move of a logical shard with orders is killed at a crash point."""

    @asynccontextmanager
    async def begin(context: FaultContext) -> AsyncIterator[None]:
        group = context.group
        mover = await group.start(MOVER_PROCESS, PLUMB_CRASH_POINT=crash_point)
        if not await mover.ended_within(KILL_SECONDS):
            raise TestbedError(f"no move reached {crash_point} within {KILL_SECONDS:.0f} s")
        try:
            yield
        finally:
            # A new mover completes the interrupted move before it stops.
            await group.start_ready(MOVER_PROCESS)
            await group.finish(MOVER_PROCESS, limit_seconds=MOVE_SECONDS)

    return begin
