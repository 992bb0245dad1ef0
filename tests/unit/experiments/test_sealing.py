"""Sealing of a diagnosis: no block runs before it is sealed, or after the sealed file was changed."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import orjson
import pytest

from observability.experiments.experiment import HEALTHY, Demand, ExperimentKind, Setting, Variant
from observability.experiments.runner import trial as trial_module
from observability.experiments.runner.artifacts import BlockRecord, Folder, Plan, Sizes
from observability.experiments.runner.block import Block
from observability.experiments.runner.errors import TrialError
from observability.experiments.runner.testbed import Testbed
from observability.experiments.runner.trial import Trial
from tests.unit.experiments.making import NOTHING_FOUND, block, experiment

BEFORE = Variant(environment={"order": {"SOME_SETTING": "1"}})
SIZES = Sizes(observe_seconds=1, block_seconds=1, warm_up_seconds=0, pairs=3)
BLOCK = block(1, "before", (0.1, 0.2)).block


def draw(_source: random.Random) -> Setting:
    return Setting(place="somewhere", before=BEFORE, after=HEALTHY, demand=Demand(utilisation=0.5), truth=None)


PLAN = Plan(
    experiment="some",
    seed=1,
    place="somewhere",
    setting_sha256=hashlib.sha256(repr(draw(random.Random(1))).encode()).hexdigest(),
    sizes=SIZES,
    rate_per_second=10,
    expected_utilisation=0.5,
    sides=(("before", "after"), ("after", "before"), ("before", "after")),
)
EXPERIMENT = replace(experiment(ExperimentKind.NEGATIVE, None), draw=draw)


class Blocks:
    """Stands in for the platform: remembers which blocks were run, and what was sealed then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sides: list[str] = []
        self.sealed: list[bool] = []
        self.then: Callable[[], None] = lambda: None

    async def run(self, _testbed: Testbed, variant: Variant, *_schedule: object, **_options: object) -> Block:
        self.sides.append("before" if variant is BEFORE else "after")
        self.sealed.append((self._folder / "seal.json").exists())
        self.then()
        return BLOCK


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a trial that was planned and observed, and no more."""
    Folder(tmp_path).write("plan.json", PLAN)
    Folder(tmp_path).write("observation/5f0c21d8/requests.json", {})
    return tmp_path


@pytest.fixture
def blocks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Blocks:
    """Blocks that take no time, and an engine that has always the same to say."""
    made = Blocks(folder)

    async def diagnose(_observation: Path) -> bytes:
        assert made.sides == [], "the engine is asked before any block is run"
        return orjson.dumps(NOTHING_FOUND)

    monkeypatch.setattr(trial_module, "run_block", made.run)
    monkeypatch.setattr(trial_module, "diagnose_blindly", diagnose)
    return made


@pytest.fixture
def trial(folder: Path) -> Trial:
    return Trial(EXPERIMENT, testbed=cast("Testbed", None), seed=1, sizes=SIZES, path=folder, environment={})


async def test_every_block_is_run_under_the_seal(trial: Trial, blocks: Blocks) -> None:
    await trial.run()
    assert blocks.sides == ["before", "after", "after", "before", "before", "after"]
    assert all(blocks.sealed)


async def test_a_rate_that_the_experiment_names_is_not_calibrated(tmp_path: Path, blocks: Blocks) -> None:
    """There is no testbed to measure one with."""

    def fixed(source: random.Random) -> Setting:
        return replace(draw(source), demand=Demand(utilisation=0.5, rate_per_second=4.5))

    named = replace(EXPERIMENT, draw=fixed)
    trial = Trial(named, testbed=cast("Testbed", None), seed=1, sizes=SIZES, path=tmp_path / "fixed", environment={})
    Folder(tmp_path / "fixed").write("observation/5f0c21d8/requests.json", {})
    await trial.diagnose()
    assert orjson.loads((tmp_path / "fixed" / "plan.json").read_bytes())["rate_per_second"] == 4.5


async def test_each_block_repeats_the_hash_of_the_diagnosis(trial: Trial, blocks: Blocks) -> None:
    await trial.run()
    folder = trial.folder.path
    expected = hashlib.sha256((folder / "diagnosis.json").read_bytes()).hexdigest()
    assert orjson.loads((folder / "seal.json").read_bytes()) == {"sha256_of_diagnosis": expected}
    assert [record.seal for record in _records(trial.folder)] == [expected] * len(blocks.sides)


async def test_a_changed_diagnosis_is_rejected_before_the_next_block(trial: Trial, blocks: Blocks) -> None:
    blocks.then = lambda: _change(trial.folder)
    with pytest.raises(TrialError, match="was changed after it was sealed"):
        await trial.run()
    assert blocks.sides == ["before"]


async def test_a_diagnosis_changed_between_two_runs_is_refused(trial: Trial, blocks: Blocks) -> None:
    await trial.diagnose()
    _change(trial.folder)
    with pytest.raises(TrialError, match="was changed after it was sealed"):
        await trial.run()
    assert blocks.sides == []


async def test_a_diagnosis_whose_seal_was_taken_away_is_refused(trial: Trial, blocks: Blocks) -> None:
    await trial.diagnose()
    (trial.folder.path / "seal.json").unlink()
    with pytest.raises((TrialError, OSError)):
        await trial.run()
    assert blocks.sides == []


def _change(folder: Folder) -> None:
    """Predict better, with hindsight."""
    folder.write("diagnosis.json", replace(NOTHING_FOUND, reasons=("as we know by now",)))


def _records(folder: Folder) -> list[BlockRecord]:
    found = (folder.read(f"blocks/{path.name}", BlockRecord) for path in sorted((folder.path / "blocks").iterdir()))
    return [record for record in found if record is not None]
