"""Process killer: starts one process armed with a crash point, waits for its kill, and starts it again."""

import asyncio
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from observability.chaos.crash_point_catalog import Trigger
from observability.chaos.kill_schedule import PlannedKill
from observability.testbed.process_group import ProcessGroup
from services.local.processes.child_process import ChildProcess

# A point that the load has not reached by then is missed: the process is killed wherever it is.
POINT_SECONDS = 12.0
AGAIN_SECONDS = 4.0
KILL_SECONDS = 10.0

How = Literal["point", "random", "missed"]
TriggerAction = Callable[[ChildProcess], Awaitable[None]]


class UnexpectedExit(Exception):
    """A process ended without a kill, which is a violation whatever the reason."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL.

    process: its name.
    point: the planned point; "" for a random time.
    passage: the planned passage of the point.
    how: at the point, at a random time, or elsewhere since the point was missed.
    """

    process: str
    point: str
    passage: int
    how: How


class ProcessKiller:
    """One process of a group and its planned kills."""

    def __init__(
        self,
        name: str,
        planned_kills: Sequence[PlannedKill],
        *,
        group: ProcessGroup,
        actions: Mapping[Trigger, TriggerAction],
        on_kill: Callable[[Kill], None],
    ) -> None:
        self._name = name
        self._planned_kills = deque(planned_kills)
        self._group = group
        self._actions = actions
        self._on_kill = on_kill
        self._log = group.options.folder / f"crashed-{name}.txt"

    async def kill_all(self) -> None:
        """Kill the process as planned, then leave it running. A missed point is tried once more, at the end.

        Raises UnexpectedExit, LocalError.
        """
        await self._group.kill(self._name)
        missed: set[str] = set()
        while self._planned_kills:
            planned = self._planned_kills.popleft()
            kill = await self._kill_once(planned)
            self._on_kill(kill)
            if kill.how == "missed" and planned.point is not None and planned.point.name not in missed:
                missed.add(planned.point.name)
                self._planned_kills.append(replace(planned, passage=1))
        await self._group.start_ready(self._name, **census(self._group, self._name))

    async def _kill_once(self, planned: PlannedKill) -> Kill:
        self._log.unlink(missing_ok=True)
        await self._group.end_lease()
        handle = await self._group.start(self._name, **census(self._group, self._name), **self._arming(planned))
        if planned.point is None:
            await handle.ended_within(planned.after_seconds)
            return Kill(self._name, "", 1, await self._finish(handle, "random"))
        await self._wait(handle, planned.point.trigger)
        how = await self._finish(handle, "missed", drained=planned.point.trigger is Trigger.DRAIN)
        return Kill(self._name, planned.point.name, planned.passage, how)

    async def _wait(self, handle: ChildProcess, trigger: Trigger) -> None:
        """Wait for the kill at the point, and repeat the point's trigger until it comes."""
        try:
            async with asyncio.timeout(POINT_SECONDS):
                if trigger is not Trigger.NONE and await self._group.is_ready(self._name):
                    while not handle.ended:
                        await self._actions[trigger](handle)
                        await handle.ended_within(AGAIN_SECONDS)
                await handle.ended_within(POINT_SECONDS)
        except TimeoutError:
            return

    async def _finish(self, handle: ChildProcess, otherwise: How, *, drained: bool = False) -> How:
        """Kill the process if it still runs, and return whether its point had killed it."""
        killed_here = not handle.ended
        result = await handle.end_by(signal.SIGKILL, limit_seconds=KILL_SECONDS)
        if self._log.exists():
            return "point"
        # A drained process may end without passing its point: then another one held the lease.
        if killed_here or (drained and result.status == 0):
            return otherwise
        log_path = self._group.log_path(self._name)
        raise UnexpectedExit(f"{self._name} {result.describe()}, but not by this campaign; see {log_path}")

    def _arming(self, planned: PlannedKill) -> dict[str, str]:
        if planned.point is None:
            return {}
        return {
            "PLUMB_CRASH_POINT": planned.point.name,
            "PLUMB_CRASH_PASSAGE": str(planned.passage),
            "PLUMB_CRASH_LOG": str(self._log.resolve()),
        }


def census(group: ProcessGroup, name: str) -> dict[str, str]:
    """Return the environment that makes a process record the points it passes."""
    return {"PLUMB_CRASH_CENSUS": str(census_path(group.options.folder, name).resolve())}


def census_path(folder: Path, name: str) -> Path:
    """Return the file of the points that a process passed."""
    return folder / f"passed-{name}.txt"


async def send_drain(handle: ChildProcess) -> None:
    """Send SIGTERM to a process."""
    handle.send(signal.SIGTERM)
    await asyncio.sleep(0)
