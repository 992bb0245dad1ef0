"""How does one round of kills go? A fresh platform under load, its processes die as planned, then all is examined."""

import asyncio
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from observability.chaos.crash_point_catalog import POSTPONED, Point, Trigger, points_of
from observability.chaos.history import History
from observability.chaos.invariant_report import InvariantReport, examine, keep_evidence
from observability.chaos.kill_schedule import PlannedKill, plan_round
from observability.chaos.process_killer import Death, EndedByItself, ProcessKiller, Provoke, census_path, send_drain
from observability.chaos.table_dump import keep_databases
from observability.chaos.workload import Traffic, TrafficOptions
from observability.testbed.process_group import QUICK, ProcessGroup, ProcessGroupOptions
from observability.testbed.program import ProcessHandle
from services.local.platform.endpoints import Bus, Mode

# An event log that loses its end loses so many events.
LOST_EVENTS = 5
# Longer than a call to inventory and an attempt of the saga worker.
PAUSE_SECONDS = 2.0

OnDeath = Callable[[Death], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOptions:
    """One round: where, of which campaign, which of its rounds counted from 0, and how many kills.

    `only` names the points of an extra round, as "PROCESS: POINT": those that nobody has died at yet.
    """

    folder: Path
    mode: Mode
    bus: Bus
    seed: int
    number: int
    kills: int
    only: tuple[str, ...] = ()


@dataclass(slots=True)
class RoundResult:
    """What happened in a round, as it is written. Kills at points are counted by process and point."""

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
    verdict: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def kills(self) -> int:
        """All SIGKILLs."""
        at_points = sum(sum(counts.values()) for counts in self.kills_by_point.values())
        return at_points + sum(self.random_kills.values()) + len(self.missed)


class Round:
    """One round under way."""

    def __init__(self, options: RoundOptions, *, on_death: OnDeath) -> None:
        self._options = options
        self._on_death = on_death
        self._points = points_of(options.mode, options.bus)
        self._strikes = plan_round(self._points, seed=options.seed, number=options.number, kills=options.kills)
        if options.only:
            self._strikes = {
                victim: tuple(PlannedKill(point) for point in points if f"{victim}: {point.name}" in options.only)
                for victim, points in self._points.items()
            }
        self._deaths: list[Death] = []
        self._history = History()
        self._seed = options.seed * 1_000 + options.number
        self.result = RoundResult(options.number, self._seed, sum(map(len, self._strikes.values())))

    async def play(self) -> RoundResult:
        """Play it to its end. Raises LocalError, TestbedError."""
        house_options = ProcessGroupOptions(
            folder=self._options.folder, mode=self._options.mode, bus=self._options.bus, environment=QUICK
        )
        began = time.monotonic()
        async with ProcessGroup.open(house_options) as group:
            await group.start_all()
            self._lap("start", began)
            began = time.monotonic()
            try:
                await self._kill_under_load(group)
            except EndedByItself as error:
                self.result.violations.append(str(error))
            self._lap("kills", began)
            began = time.monotonic()
            if not self.result.violations:
                self._note(await self._examine(group))
            if self.result.violations:
                await keep_databases(group.foundation.databases, self._options.folder / "databases")
            self._lap("examination", began)
        self._count()
        return self.result

    async def _kill_under_load(self, group: ProcessGroup) -> None:
        async with group.edges() as edges, group.stock() as stock:
            options = TrafficOptions(seed=self._seed)
            traffic = Traffic(options, edges=edges, stock=stock, history=self._history)
            await traffic.stock_up()
            async with traffic.going_on():
                await all_at_once(
                    self._victim(group, name, strikes).die_all() for name, strikes in self._strikes.items()
                )

    def _victim(self, group: ProcessGroup, name: str, strikes: tuple[PlannedKill, ...]) -> ProcessKiller:
        return ProcessKiller(
            name,
            strikes,
            group=group,
            provocations=provocations_of(group),
            on_death=self._died,
        )

    def _died(self, death: Death) -> None:
        self._deaths.append(death)
        self._on_death(death)

    async def _examine(self, group: ProcessGroup) -> InvariantReport:
        examination = await examine(group, self._history)
        if examination.violations:
            keep_evidence(examination, self._history, self._options.folder)
        return examination

    def _note(self, examination: InvariantReport) -> None:
        self.result.violations += examination.violations
        self.result.verdict, self.result.orders = examination.verdict, examination.orders
        self.result.seconds["quiet"] = round(examination.quiet_seconds, 2)

    def _count(self) -> None:
        """Sum up the deaths, and which points were passed that nobody knows of."""
        result, at_points, at_random = self.result, defaultdict[str, Counter[str]](Counter), Counter[str]()
        for death in self._deaths:
            match death.how:
                case "point":
                    at_points[death.victim][death.point] += 1
                case "random":
                    at_random[death.victim] += 1
                case "missed":
                    missed = {"process": death.victim, "point": death.point, "passage": death.passage}
                    result.missed.append(missed)
        result.kills_by_point = {victim: dict(sorted(counts.items())) for victim, counts in at_points.items()}
        result.random_kills = dict(at_random)
        result.unlisted_points = unlisted(self._options.folder, self._points)
        result.requests, result.attempts = self._history.requests(), len(self._history.exchanges)
        result.outcomes = self._history.outcomes()

    def _lap(self, what: str, began: float) -> None:
        self.result.seconds[what] = round(time.monotonic() - began, 2)


async def all_at_once(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Take all steps; as soon as one fails, cancel the others and raise its error."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        for finished in asyncio.as_completed(tasks):
            await finished
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def provocations_of(group: ProcessGroup) -> Mapping[Trigger, Provoke]:
    """Return how each provocation is done in this house."""

    async def wipe(_life: ProcessHandle) -> None:
        await group.wipe_log()

    async def truncate(_life: ProcessHandle) -> None:
        await group.truncate_log(LOST_EVENTS)

    async def pause(_life: ProcessHandle) -> None:
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
    """Return the points that processes passed though the list does not have them: it is out of date."""
    found = []
    for victim, own in points.items():
        path = census_path(folder, victim)
        passed = set(path.read_text().split()) if path.exists() else set()
        found += [f"{victim}: {name}" for name in sorted(passed - {point.name for point in (*own, *POSTPONED)})]
    return found
