"""One round of kills: a fresh platform under load whose processes are killed as planned, then checked."""

import asyncio
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from observability.chaos import shard_mover
from observability.chaos.crash_point_catalog import POSTPONED, Point, Trigger, points_of
from observability.chaos.history import History
from observability.chaos.invariant_report import InvariantReport, examine, write_evidence
from observability.chaos.kill_schedule import PlannedKill, plan_round
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.chaos.process_killer import (
    Kill,
    ProcessKiller,
    TriggerAction,
    UnexpectedExit,
    census_path,
    send_drain,
)
from observability.chaos.table_dump import dump_databases
from observability.chaos.workload import Workload, WorkloadOptions
from observability.testbed.process_group import MOVER_PROCESS, QUICK, ProcessGroup
from services.local.processes.child_process import ChildProcess

# Events that TRUNCATE_LOG removes.
LOST_EVENTS = 5
# Longer than a call to inventory, and than an attempt of the saga worker.
PAUSE_SECONDS = 2.0
# A mover that is stopped makes its last move.
MOVE_SECONDS = 120.0

OnKill = Callable[[Kill], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOptions(CampaignPlatformOptions):
    """Options of one round.

    folder: where it writes.
    seed: the campaign's seed.
    number: the round's number in the campaign, from 0.
    kills: number of kills.
    moves: kill moves of logical shards, instead of the shop's processes.
    only: points of an extra round, as "PROCESS: POINT", at which no kill has succeeded yet.
    """

    folder: Path
    seed: int
    number: int
    kills: int
    moves: bool = False
    only: tuple[str, ...] = ()


@dataclass(slots=True)
class RoundResult:
    """Result of a round, as written to its file. Kills at points are counted by process and point."""

    number: int
    seed: int
    planned: int
    kills_by_point: dict[str, dict[str, int]] = field(default_factory=dict)
    random_kills: dict[str, int] = field(default_factory=dict)
    missed: list[dict[str, Any]] = field(default_factory=list)
    unlisted_points: list[str] = field(default_factory=list)
    requests: int = 0
    attempts: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    invariants: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def kills(self) -> int:
        """Number of all SIGKILLs."""
        at_points = sum(sum(counts.values()) for counts in self.kills_by_point.values())
        return at_points + sum(self.random_kills.values()) + len(self.missed)


class Round:
    """One round of kills."""

    def __init__(self, options: RoundOptions, *, on_kill: OnKill) -> None:
        self._options = options
        self._on_kill = on_kill
        self._points = points_of(options.mode, options.bus, moves=options.moves)
        self._planned_kills = plan_round(self._points, seed=options.seed, number=options.number, kills=options.kills)
        if options.only:
            self._planned_kills = {
                process: tuple(PlannedKill(point) for point in points if f"{process}: {point.name}" in options.only)
                for process, points in self._points.items()
            }
        self._kills: list[Kill] = []
        self._history = History()
        self._seed = options.seed * 1_000 + options.number
        self.result = RoundResult(options.number, self._seed, sum(map(len, self._planned_kills.values())))

    async def run(self) -> RoundResult:
        """Run the round. Raises LocalError, TestbedError."""
        group_options = self._options.process_group(
            self._options.folder,
            environment=QUICK,
            modules={MOVER_PROCESS: shard_mover.__name__} if self._options.moves else {},
        )
        began = time.monotonic()
        more = (MOVER_PROCESS,) if self._options.moves else ()
        async with ProcessGroup.open(group_options, more=more) as group:
            await group.start_all()
            self._lap("start", began)
            began = time.monotonic()
            try:
                await self._kill_under_load(group)
            except UnexpectedExit as error:
                self.result.violations.append(str(error))
            self._lap("kills", began)
            began = time.monotonic()
            if not self.result.violations:
                self._note(await self._examine(group))
            if self.result.violations:
                await dump_databases(group.foundation.databases, self._options.folder / "databases")
            self._lap("examination", began)
        self._count()
        return self.result

    async def _kill_under_load(self, group: ProcessGroup) -> None:
        async with group.api_clients() as apis, group.stock() as stock:
            options = WorkloadOptions(seed=self._seed, has_replicas=self._options.replicas > 0)
            workload = Workload(options, apis=apis, stock=stock, history=self._history)
            await workload.stock_up()
            async with workload.running():
                await all_at_once(
                    self._killer(group, name, planned_kills).kill_all()
                    for name, planned_kills in self._planned_kills.items()
                )
            if self._options.moves:
                await group.finish(MOVER_PROCESS, limit_seconds=MOVE_SECONDS)

    def _killer(self, group: ProcessGroup, name: str, planned_kills: tuple[PlannedKill, ...]) -> ProcessKiller:
        return ProcessKiller(
            name,
            planned_kills,
            group=group,
            actions=actions_of(group),
            on_kill=self._died,
        )

    def _died(self, kill: Kill) -> None:
        self._kills.append(kill)
        self._on_kill(kill)

    async def _examine(self, group: ProcessGroup) -> InvariantReport:
        examination = await examine(group, self._history)
        if examination.violations:
            write_evidence(examination, self._history, self._options.folder)
        return examination

    def _note(self, examination: InvariantReport) -> None:
        self.result.violations += examination.violations
        self.result.invariants, self.result.orders = examination.invariants, examination.orders
        self.result.seconds["quiet"] = round(examination.quiet_seconds, 2)

    def _count(self) -> None:
        """Sum up the kills, the requests, and the points passed that the catalogue lacks."""
        result, at_points, at_random = self.result, defaultdict[str, Counter[str]](Counter), Counter[str]()
        for kill in self._kills:
            match kill.how:
                case "point":
                    at_points[kill.process][kill.point] += 1
                case "random":
                    at_random[kill.process] += 1
                case "missed":
                    missed = {"process": kill.process, "point": kill.point, "passage": kill.passage}
                    result.missed.append(missed)
        result.kills_by_point = {process: dict(sorted(counts.items())) for process, counts in at_points.items()}
        result.random_kills = dict(at_random)
        result.unlisted_points = unlisted(self._options.folder, self._points)
        result.requests, result.attempts = self._history.requests(), len(self._history.exchanges)
        result.outcomes = self._history.outcomes()

    def _lap(self, what: str, began: float) -> None:
        self.result.seconds[what] = round(time.monotonic() - began, 2)


async def all_at_once(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all steps concurrently; when one fails, cancel the others and raise its error."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        for finished in asyncio.as_completed(tasks):
            await finished
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def actions_of(group: ProcessGroup) -> Mapping[Trigger, TriggerAction]:
    """Return the action of each trigger on this platform."""

    async def wipe(_life: ChildProcess) -> None:
        await group.wipe_log()

    async def truncate(_life: ChildProcess) -> None:
        await group.truncate_log(LOST_EVENTS)

    async def pause(_life: ChildProcess) -> None:
        inventory = group.handles["inventory"]
        inventory.send(signal.SIGSTOP)
        await asyncio.sleep(PAUSE_SECONDS)
        inventory.send(signal.SIGCONT)

    return {
        Trigger.WIPE_LOG: wipe,
        Trigger.TRUNCATE_LOG: truncate,
        Trigger.DRAIN: send_drain,
        Trigger.PAUSE_INVENTORY: pause,
    }


def unlisted(folder: Path, points: Mapping[str, tuple[Point, ...]]) -> list[str]:
    """Return the points that processes passed and the catalogue lacks; then it is out of date."""
    found = []
    for process, own in points.items():
        path = census_path(folder, process)
        passed = set(path.read_text().split()) if path.exists() else set()
        found += [f"{process}: {name}" for name in sorted(passed - {point.name for point in (*own, *POSTPONED)})]
    return found
