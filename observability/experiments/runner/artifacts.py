"""Files of a trial, from which an interrupted one is resumed.

A trial's folder has `plan.json`, `observation/NAME/` (the diagnosis's input), `diagnosis.json`, `seal.json` (the hash
of the diagnosis, before any block with the fix), `blocks/NN-VARIANT.json`, `score.json`, `report.html`, `summary.md`,
and `demo.json` when the trial belongs to a demo. Each file is written atomically, so a file that exists is complete.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from observability.analysis.verdict import Verdict
from observability.experiments.runner.block import Block
from observability.experiments.runner.errors import TrialError
from observability.load.result import SHARE_OF_CAPACITY
from services.infra.atomic_file import write_atomically

T = TypeVar("T")
Side = Literal["before", "after"]
DEMO = "demo.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The size of a trial.

    observe_seconds, block_seconds: of the observation and of each block, after the warm-up.
    pairs: number of paired blocks.
    reruns: how often an invalid block is repeated.
    must_be_valid: whether the trial fails on a block that stays invalid; else the block is used and marked invalid.
    share_of_capacity: the rate as a share of what a closed loop sells with the bottleneck; None: the rate is calibrated
        to the experiment's utilisation.
    """

    observe_seconds: float
    block_seconds: float
    warm_up_seconds: float
    pairs: int
    reruns: int = 2
    must_be_valid: bool = True
    share_of_capacity: float | None = None


QUICK = Sizes(observe_seconds=15.0, block_seconds=5.0, warm_up_seconds=2.0, pairs=3)
# For a first visitor's machine, which may run other work.
GLANCE = Sizes(
    observe_seconds=15.0,
    block_seconds=5.0,
    warm_up_seconds=1.0,
    # With four the interval of their ratio is a third narrower than with three.
    pairs=4,
    reruns=0,
    must_be_valid=False,
    share_of_capacity=SHARE_OF_CAPACITY,
)
FULL = Sizes(observe_seconds=30.0, block_seconds=15.0, warm_up_seconds=3.0, pairs=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of a trial: the drawn parameters, the rate, and the order of the blocks.

    place: the drawn parameters in words.
    setting_sha256: hash of all parameters; another version of the experiment may draw others.
    sides: for each pair, which side runs first.
    """

    experiment: str
    seed: int
    place: str
    setting_sha256: str
    sizes: Sizes
    rate_per_second: float
    expected_utilisation: float
    sides: tuple[tuple[Side, Side], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRecord:
    """One block with its pair, its side (before or after the fix), the seal at that time, and the attempt."""

    pair: int
    side: Side
    seed: int
    seal: str
    attempt: int
    block: Block


class Folder:
    """The files of one trial."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def observations(self) -> Path:
        """The parent folder of the observation, whose own name is random and reveals nothing."""
        return self.path / "observation"

    def after_fix(self) -> "Folder":
        """Return the folder of the observation and the diagnosis of the platform with the fix."""
        return Folder(self.path / "after-fix")

    def observation(self) -> Path | None:
        """Return the folder of the observation, None until it is complete."""
        found = sorted(self.observations.glob("*/requests.json"))
        return found[0].parent if found else None

    def keep_observation(self, seen: Path) -> Path:
        """Move an observation into the trial's folder under a random name; return its new path."""
        kept = self.observations / secrets.token_hex(4)
        kept.parent.mkdir(parents=True, exist_ok=True)
        return seen.rename(kept)

    def scratch(self) -> Path:
        """Return the path of a new folder for an observation in progress."""
        return self.path / "running" / secrets.token_hex(4)

    def block(self, number: int, side: Side) -> Path:
        """Return the file of a block."""
        return self.path / "blocks" / f"{number:02}-{side}.json"

    def invalid_attempts(self, number: int, side: Side) -> int:
        """Return the number of invalid attempts at a block, including those of earlier runs."""
        return len(list(self.path.glob(f"blocks/{number:02}-{side}-invalid-*.json")))

    def read(self, name: str, kind: type[T]) -> T | None:
        """Return the content of a file, None when it does not exist. Raises TrialError for another version's file."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            return TypeAdapter(kind).validate_json(path.read_bytes())
        except ValidationError as error:
            raise TrialError(f"{path} was written by another version: start again with --fresh") from error

    def write(self, name: str, value: object) -> None:
        """Write a file as JSON, atomically."""
        write_atomically(self.path / name, encode(value))

    def link_demo(self, report: Path) -> None:
        """Record the path of the demo's report that this trial belongs to."""
        self.write(DEMO, {"report": os.path.relpath(report, self.path)})

    def seal_diagnosis(self, verdict: Verdict) -> None:
        """Write the hash, then the diagnosis: a diagnosis that exists is sealed."""
        content = encode(verdict)
        self.write("seal.json", {"sha256_of_diagnosis": hashlib.sha256(content).hexdigest()})
        write_atomically(self.path / "diagnosis.json", content)

    def hash_of_diagnosis(self) -> str:
        """Return the SHA-256 of the diagnosis file with its prediction. Raises OSError when there is none."""
        return hashlib.sha256((self.path / "diagnosis.json").read_bytes()).hexdigest()

    def seal(self) -> str:
        """Return the sealed hash of the diagnosis. Raises TrialError when the diagnosis has changed since."""
        sealed: str = orjson.loads((self.path / "seal.json").read_bytes())["sha256_of_diagnosis"]
        if sealed != self.hash_of_diagnosis():
            raise TrialError(f"the diagnosis in {self.path} was changed after it was sealed: start again with --fresh")
        return sealed


def encode(value: object) -> bytes:
    """Return a value as JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def verdict_from(document: dict[str, Any]) -> Verdict:
    """Return the verdict from the JSON of a diagnosis."""
    return TypeAdapter(Verdict).validate_python(document)
