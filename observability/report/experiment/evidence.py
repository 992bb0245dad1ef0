"""The folder of a finished trial: all that its report shows, read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from observability.analysis.comparison import Estimate, pooled_quantile
from observability.analysis.observation import Observation
from observability.analysis.observation_folder import ObservationUnreadable, read_observation
from observability.analysis.quantiles import fewest_for
from observability.analysis.verdict import Verdict
from observability.analysis.whatif import QUANTILES
from observability.experiments.runner.artifacts import DEMO, BlockRecord, Folder, Plan
from observability.experiments.runner.claim import Claim
from observability.experiments.runner.errors import TrialError
from observability.experiments.runner.scoring import Score

# What is made from the rest, or is there only while a block runs.
_MADE = frozenset({"report.html", "summary.md"})
_RUNNING = "running"

T = TypeVar("T")


class NotFinished(TrialError):
    """The folder holds no finished trial; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A quantile of the latency in seconds, without the fix and with it."""

    name: str
    q: float
    before: Estimate
    after: Estimate


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file of the trial, by its path within the folder, and its size."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The content of a trial's folder.

    blocks: the blocks that count, pair by pair in the order in which they ran.
    invalid: attempts that were repeated.
    seal: hash of the diagnosis, from before any block with the fix.
    broken_seals: files with another hash.
    demo_report: relative path of the demo's report, if the trial belongs to a demo.
    """

    claim: Claim
    plan: Plan
    environment: Mapping[str, str]
    verdict: Verdict
    seal: str
    broken_seals: tuple[str, ...]
    blocks: tuple[BlockRecord, ...]
    invalid: tuple[BlockRecord, ...]
    score: Score
    measured: tuple[Measured, ...]
    observation: Observation
    files: tuple[RawFile, ...]
    demo_report: str = ""

    @property
    def used_though_invalid(self) -> int:
        """How many of the blocks that count had a load that was not what it must be."""
        return sum(bool(each.block.invalid_because) for each in self.blocks)

    def latencies(self, side: str) -> tuple[tuple[float, ...], ...]:
        """Return the latencies of each block of a side."""
        return tuple(each.block.latencies_seconds for each in self.blocks if each.side == side)


def read_evidence(folder: Folder) -> Evidence:
    """Read a trial. Raises NotFinished, and OSError for what may not be read."""
    score = _needed(folder, "score.json", Score)
    plan = _needed(folder, "plan.json", Plan)
    blocks = tuple(_needed(folder, name, BlockRecord) for name in _block_names(folder, plan))
    sealed = _needed(folder, "seal.json", dict[str, str]).get("sha256_of_diagnosis", "")
    return Evidence(
        claim=_needed(folder, "claim.json", Claim),
        plan=plan,
        environment=_needed(folder, "environment.json", dict[str, str]),
        verdict=_needed(folder, "diagnosis.json", Verdict),
        seal=sealed,
        broken_seals=tuple(_broken_seals(folder, sealed, blocks)),
        blocks=blocks,
        invalid=tuple(_needed(folder, name, BlockRecord) for name in _invalid_names(folder)),
        score=score,
        measured=tuple(_measure(blocks)),
        observation=_observation(folder),
        files=tuple(_files(folder)),
        demo_report=(folder.read(DEMO, dict[str, str]) or {}).get("report", ""),
    )


def _needed(folder: Folder, name: str, kind: type[T]) -> T:
    found = folder.read(name, kind)
    if found is None:
        raise NotFinished(f"{folder.path} holds no finished trial: there is no {name}")
    return found


def _block_names(folder: Folder, plan: Plan) -> list[str]:
    """Name the files of the blocks in the order in which they ran."""
    return [_name(folder, folder.block(pair, side)) for pair, sides in enumerate(plan.sides, start=1) for side in sides]


def _invalid_names(folder: Folder) -> list[str]:
    return [_name(folder, path) for path in sorted(folder.path.glob("blocks/*-invalid-*.json"))]


def _name(folder: Folder, path: Path) -> str:
    return path.relative_to(folder.path).as_posix()


def _broken_seals(folder: Folder, sealed: str, blocks: tuple[BlockRecord, ...]) -> list[str]:
    """Say what does not repeat the seal: then the prediction is not shown to be older than what it predicts."""
    broken = [] if folder.hash_of_diagnosis() == sealed else ["diagnosis.json is not what was sealed"]
    return broken + [f"pair {each.pair}, {each.side}, ran under another seal" for each in blocks if each.seal != sealed]


def _measure(blocks: tuple[BlockRecord, ...]) -> list[Measured]:
    """Measure each quantile for which both sides have orders enough, and the median in any case."""
    before, after = (
        [each.block.latencies_seconds for each in blocks if each.side == side] for side in ("before", "after")
    )
    fewest = min(sum(map(len, before)), sum(map(len, after)))
    told = [(name, q) for name, q in QUANTILES.items() if fewest >= fewest_for(q)] or [*QUANTILES.items()][:1]
    return [Measured(name, q, pooled_quantile(before, q), pooled_quantile(after, q)) for name, q in told]


def _observation(folder: Folder) -> Observation:
    found = folder.observation()
    if found is None:
        raise NotFinished(f"{folder.path} holds no finished trial: there is no whole observation")
    try:
        return read_observation(found)
    except ObservationUnreadable as error:
        raise NotFinished(str(error)) from error


def _files(folder: Folder) -> list[RawFile]:
    names = {_name(folder, path): path for path in folder.path.rglob("*") if path.is_file()}
    kept = {
        name: path
        for name, path in names.items()
        if name not in _MADE and not path.name.startswith(".") and not name.startswith(f"{_RUNNING}/")
    }
    return [RawFile(name, kept[name].stat().st_size) for name in sorted(kept)]
