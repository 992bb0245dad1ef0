"""How does one process die again and again? It is started armed, dies where it was told to, and is started anew."""

import asyncio
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from observability.chaos.crash_point_catalog import Trigger
from observability.chaos.kill_schedule import PlannedKill
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import ProcessGroup
from observability.testbed.program import ProcessHandle

# A point that the load has not brought about by then is given up: the process is killed wherever it is.
POINT_SECONDS = 12.0
AGAIN_SECONDS = 4.0
KILL_SECONDS = 10.0

How = Literal["point", "random", "missed"]
Provoke = Callable[[ProcessHandle], Awaitable[None]]


class EndedByItself(Exception):
    """A process ended though nobody killed it: a finding, whatever the reason."""


@dataclass(frozen=True, slots=True)
class Death:
    """One SIGKILL: whose, where it was meant to come, and how it came."""

    victim: str
    point: str
    passage: int
    how: How


class ProcessKiller:
    """One process of a house and the ends that are planned for it."""

    def __init__(
        self,
        name: str,
        strikes: Sequence[PlannedKill],
        *,
        group: ProcessGroup,
        provocations: Mapping[Trigger, Provoke],
        on_death: Callable[[Death], None],
    ) -> None:
        self._name = name
        self._strikes = deque(strikes)
        self._house = group
        self._provocations = provocations
        self._on_death = on_death
        self._log = group.options.folder / f"crashed-{name}.txt"

    async def die_all(self) -> None:
        """Die at each planned place, then live on. A point that was missed has its turn once more, at the end.

        Raises EndedByItself, TestbedError.
        """
        await self._house.kill(self._name)
        missed: set[str] = set()
        while self._strikes:
            strike = self._strikes.popleft()
            death = await self._die(strike)
            self._on_death(death)
            if death.how == "missed" and strike.point is not None and strike.point.name not in missed:
                missed.add(strike.point.name)
                self._strikes.append(replace(strike, passage=1))
        await self._house.start_ready(self._name, **census(self._house, self._name))

    async def _die(self, strike: PlannedKill) -> Death:
        self._log.unlink(missing_ok=True)
        await self._house.end_lease()
        life = await self._house.start(self._name, **census(self._house, self._name), **self._arming(strike))
        if strike.point is None:
            await life.ended_within(strike.after_seconds)
            return Death(self._name, "", 1, await self._finish(life, "random"))
        await self._wait(life, strike.point.provocation)
        how = await self._finish(life, "missed", drained=strike.point.provocation is Trigger.DRAIN)
        return Death(self._name, strike.point.name, strike.passage, how)

    async def _wait(self, life: ProcessHandle, provocation: Trigger) -> None:
        """Wait for the end that the point brings; what must be done for it is done again."""
        try:
            async with asyncio.timeout(POINT_SECONDS):
                if provocation is not Trigger.NONE and await self._house.is_ready(self._name, life):
                    while not life.is_over:
                        await self._provocations[provocation](life)
                        await life.ended_within(AGAIN_SECONDS)
                await life.ended_within(POINT_SECONDS)
        except TimeoutError:
            return

    async def _finish(self, life: ProcessHandle, otherwise: How, *, drained: bool = False) -> How:
        """See the process dead, by SIGKILL of ours if it is still there; say whether its point killed it."""
        killed_here = not life.is_over
        life.send(signal.SIGKILL)
        if not await life.ended_within(KILL_SECONDS):
            raise TestbedError(f"{self._name} did not end within {KILL_SECONDS:.0f} s of SIGKILL")
        if self._log.exists():
            return "point"
        # A process that was told to end may do so without coming by its point: another had the lease.
        if killed_here or (drained and life.status == 0):
            return otherwise
        log_path = self._house.log_path(self._name)
        raise EndedByItself(f"{self._name} ended by itself with status {life.status}; see {log_path}")

    def _arming(self, strike: PlannedKill) -> dict[str, str]:
        if strike.point is None:
            return {}
        return {
            "PLUMB_CRASH_POINT": strike.point.name,
            "PLUMB_CRASH_PASSAGE": str(strike.passage),
            "PLUMB_CRASH_LOG": str(self._log.resolve()),
        }


def census(group: ProcessGroup, name: str) -> dict[str, str]:
    """Return the variables by which a process tells which points it passes."""
    return {"PLUMB_CRASH_CENSUS": str(census_path(group.options.folder, name).resolve())}


def census_path(folder: Path, name: str) -> Path:
    """Return where a process tells it."""
    return folder / f"passed-{name}.txt"


async def send_drain(life: ProcessHandle) -> None:
    """Tell a process to end."""
    life.send(signal.SIGTERM)
    await asyncio.sleep(0)
