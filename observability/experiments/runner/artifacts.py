"""Files of a trial, and how one that was cut off is found again.

A trial's folder has `plan.json`, `observation/NAME/` (what the diagnosis may see), `diagnosis.json`, `seal.json` (the
hash of the diagnosis, before any block with the fix), `blocks/NN-VARIANT.json`, `score.json`, `report.html` and
`summary.md`, and `demo.json` where it is a part of a demo. Each file is written whole or not at all, so that whatever
is there need not be done again.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from observability.analysis.diagnosis import Verdict
from observability.experiments.runner.block import Block
from observability.experiments.runner.errors import TrialError
from observability.load.result import SHARE_OF_CAPACITY

T = TypeVar("T")
Side = Literal["before", "after"]
DEMO = "demo.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How long a trial takes: seconds of observation, and of each block after its warm-up; `pairs` of blocks.

    A block whose load was not what it must be is run again so many times; where it then `must_be_valid`, the trial
    ends, else it is used, and said to be invalid. With `share_of_capacity` the rate is this share of what a closed loop
    sells with the bottleneck, whatever else the machine does; without, it is what the experiment's utilisation asks.
    """

    observe_seconds: float
    block_seconds: float
    warm_up_seconds: float
    pairs: int
    reruns: int = 2
    must_be_valid: bool = True
    share_of_capacity: float | None = None


QUICK = Sizes(observe_seconds=15.0, block_seconds=5.0, warm_up_seconds=2.0, pairs=3)
# Beside whatever else the machine of a first visitor does.
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
    """What is tried: the experiment as its seed drew it, at the rate that was calibrated.

    `setting_sha256` is of all that was drawn: another version of the experiment may draw something else.
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
    """One block, as it was run: of which pair, with or without the fix, under which seal, at which attempt."""

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
        """Where what was observed lies, in a folder with a name that says nothing."""
        return self.path / "observation"

    def observation(self) -> Path | None:
        """Return the folder of the observation once it is whole."""
        found = sorted(self.observations.glob("*/requests.json"))
        return found[0].parent if found else None

    def keep_observation(self, seen: Path) -> Path:
        """Move what was observed to its place, under a random name; return it."""
        kept = self.observations / secrets.token_hex(4)
        kept.parent.mkdir(parents=True, exist_ok=True)
        return seen.rename(kept)

    def scratch(self) -> Path:
        """Return a new folder, for what is observed until it is whole."""
        return self.path / "running" / secrets.token_hex(4)

    def block(self, number: int, side: Side) -> Path:
        """Return the file of a block."""
        return self.path / "blocks" / f"{number:02}-{side}.json"

    def invalid_attempts(self, number: int, side: Side) -> int:
        """Count how often a block was run in vain, in earlier runs too."""
        return len(list(self.path.glob(f"blocks/{number:02}-{side}-invalid-*.json")))

    def read(self, name: str, kind: type[T]) -> T | None:
        """Read a file that was written, None when it was not. Raises TrialError when it is another version's."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            return TypeAdapter(kind).validate_json(path.read_bytes())
        except ValidationError as error:
            raise TrialError(f"{path} is not what this version writes: begin again with --fresh") from error

    def write(self, name: str, value: object) -> None:
        """Write a file as JSON, whole or not at all."""
        write_whole(self.path / name, encode(value))

    def link_demo(self, report: Path) -> None:
        """Write down of which demo's report this trial is a part."""
        self.write(DEMO, {"report": os.path.relpath(report, self.path)})

    def seal_diagnosis(self, verdict: Verdict) -> None:
        """Write the hash, then what it is of: a diagnosis that is there is sealed."""
        content = encode(verdict)
        self.write("seal.json", {"sha256_of_diagnosis": hashlib.sha256(content).hexdigest()})
        write_whole(self.path / "diagnosis.json", content)

    def hash_of_diagnosis(self) -> str:
        """Return the SHA-256 of the diagnosis, with its prediction, as it stands. Raises OSError when there is none."""
        return hashlib.sha256((self.path / "diagnosis.json").read_bytes()).hexdigest()

    def seal(self) -> str:
        """Return the hash that was written down with the diagnosis. Raises TrialError when it is that of another."""
        sealed: str = orjson.loads((self.path / "seal.json").read_bytes())["sha256_of_diagnosis"]
        if sealed != self.hash_of_diagnosis():
            raise TrialError(f"the diagnosis in {self.path} was changed after it was sealed: begin again with --fresh")
        return sealed


def encode(value: object) -> bytes:
    """Write a value as JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fresh.write_bytes(content)
    fresh.replace(path)


def verdict_from(document: dict[str, Any]) -> Verdict:
    """Read what a diagnosis printed."""
    return TypeAdapter(Verdict).validate_python(document)
