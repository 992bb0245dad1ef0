"""Kill campaign: rounds of kills, which can be interrupted and resumed.

Each round has a fresh platform and draws from the campaign's seed and its own number, so it can be repeated alone. A
finished round is a file; a resumed campaign starts with the first missing one.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from observability.chaos.crash_point_catalog import OUTSIDE, Point, points_of
from observability.chaos.kill_round import Round, RoundOptions, RoundResult
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.chaos.process_killer import Kill
from observability.testbed.errors import TestbedError
from services.infra.atomic_file import write_json

KILLS_A_ROUND = 60
# Rounds beyond the planned ones, for points that were missed in all of them.
MOST_EXTRA_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOptions(CampaignPlatformOptions):
    """Options of a campaign, which a resumed campaign reads back.

    seed: fixes the schedule.
    kills: number of kills in all.
    kills_a_round: number of kills in each round.
    moves: kill moves of logical shards, instead of the shop's processes.
    """

    seed: int
    kills: int
    kills_a_round: int = KILLS_A_ROUND
    moves: bool = False

    @property
    def points(self) -> dict[str, tuple[Point, ...]]:
        """Crash points of each process."""
        return points_of(self.mode, self.bus, moves=self.moves)

    def write(self, directory: Path) -> None:
        """Write the options for a later resume."""
        (directory / "campaign.json").write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, directory: Path) -> "CampaignOptions":
        """Read the options of a campaign. Raises TestbedError."""
        try:
            return cls(**json.loads((directory / "campaign.json").read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise TestbedError(f"{directory} is not the folder of a campaign: {error}") from error

    @property
    def rounds(self) -> int:
        """Number of planned rounds."""
        return max(1, -(-self.kills // self.kills_a_round))

    def kills_of(self, number: int) -> int:
        """Return the number of kills of a round; the last one has the remainder."""
        left = self.kills - number * self.kills_a_round
        return self.kills_a_round if left <= 0 else min(self.kills_a_round, left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Callbacks on the progress of a campaign: after each kill, and after each round."""

    on_kill: Callable[[Kill], None]
    on_round: Callable[[RoundResult], None]


class Campaign:
    """A campaign of kills and its folder."""

    def __init__(self, options: CampaignOptions, directory: Path) -> None:
        self.options = options
        self.directory = directory
        self.finished: list[RoundResult] = read_rounds(directory)

    @property
    def violations(self) -> list[str]:
        """Violations of all finished rounds."""
        return [f"round {result.number}: {found}" for result in self.finished for found in result.violations]

    @property
    def kills(self) -> int:
        """Number of SIGKILLs so far."""
        return sum(result.kills for result in self.finished)

    @property
    def complaints(self) -> list[str]:
        """Reasons why the campaign proves less than it should; no violations of the shop."""
        unlisted = sorted({name for result in self.finished for name in result.unlisted_points})
        unreached = [f"{name} was never reached" for name in self.unreached()]
        return unreached + [f"{name} is not in the catalogue of points" for name in unlisted]

    async def run(self, listener: Listener) -> None:
        """Run the missing rounds until all points were hit, or there is a violation. Raises as a round does."""
        while not self.violations and self._is_unfinished():
            number = len(self.finished)
            result = await self._run_round(number, listener)
            self.finished.append(result)
            write_json(self._path(number), asdict(result))
            write_json(self.directory / "result.json", self.as_document())
            listener.on_round(result)

    def unreached(self) -> list[str]:
        """Return the points without a kill so far, as "PROCESS: POINT"."""
        hit = {
            (process, point)
            for result in self.finished
            for process, counts in result.kills_by_point.items()
            for point in counts
        }
        return [
            f"{process}: {point.name}"
            for process, points in self.options.points.items()
            for point in points
            if (process, point.name) not in hit
        ]

    def as_document(self) -> dict[str, Any]:
        """Return options, totals and rounds as a JSON document."""
        by_point: dict[str, Counter[str]] = {}
        at_random: Counter[str] = Counter()
        for result in self.finished:
            for process, counts in result.kills_by_point.items():
                by_point.setdefault(process, Counter()).update(counts)
            at_random.update(result.random_kills)
        return {
            **asdict(self.options),
            "holds": not self.violations,
            "violations": self.violations,
            "complaints": self.complaints,
            "total_kills": self.kills,
            "kills_by_point": {process: dict(sorted(counts.items())) for process, counts in by_point.items()},
            "random_kills": dict(at_random),
            "missed": sum(len(result.missed) for result in self.finished),
            "points_outside": dict(OUTSIDE),
            "requests": sum(result.requests for result in self.finished),
            "attempts": sum(result.attempts for result in self.finished),
            "seconds": round(sum(sum(result.seconds.values()) for result in self.finished), 1),
            "rounds": [asdict(result) for result in self.finished],
        }

    def _is_unfinished(self) -> bool:
        played = len(self.finished)
        if played < self.options.rounds:
            return True
        # A campaign with fewer kills than points cannot reach them all, and needs no extra rounds.
        enough = self.options.kills >= sum(map(len, self.options.points.values()))
        return enough and bool(self.unreached()) and played < self.options.rounds + MOST_EXTRA_ROUNDS

    async def _run_round(self, number: int, listener: Listener) -> RoundResult:
        folder = self.directory / f"round-{number:03d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        wanted = self.unreached() if number >= self.options.rounds else []
        options = RoundOptions(
            folder=folder,
            mode=self.options.mode,
            bus=self.options.bus,
            shards=self.options.shards,
            replicas=self.options.replicas,
            moves=self.options.moves,
            seed=self.options.seed,
            number=number,
            kills=self.options.kills_of(number),
            only=tuple(wanted),
        )
        result = await Round(options, on_kill=listener.on_kill).run()
        if not result.violations:
            shutil.rmtree(folder)
        return result

    def _path(self, number: int) -> Path:
        return self.directory / f"round-{number:03d}.json"


def read_rounds(directory: Path) -> list[RoundResult]:
    """Return the finished rounds in order, up to the first missing one."""
    known = {field.name for field in fields(RoundResult)}
    found: list[RoundResult] = []
    while (path := directory / f"round-{len(found):03d}.json").exists():
        document = json.loads(path.read_text())
        found.append(RoundResult(**{name: value for name, value in document.items() if name in known}))
    return found


def totals(results: Sequence[RoundResult]) -> str:
    """Return a line with the totals of some rounds."""
    kills, requests = sum(result.kills for result in results), sum(result.requests for result in results)
    return f"{kills:,} kills under {requests:,} requests in {len(results)} rounds"
