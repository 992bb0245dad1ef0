"""Trial of two bottlenecks: with the fix of the bigger, the platform is observed and diagnosed again."""

import random
from dataclasses import replace
from pathlib import Path
from typing import cast

import orjson
import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import HEALTHY, Demand, Setting, Truth, Variant
from observability.experiments.runner import trial as trial_module
from observability.experiments.runner.artifacts import Sizes
from observability.experiments.runner.block import Block
from observability.experiments.runner.scoring import Score
from observability.experiments.runner.testbed import Testbed
from observability.experiments.runner.trial import Trial
from tests.unit.experiments.making import RIGHT, TRUTH, block, experiment

BEFORE = Variant(environment={"order": {"SOME_SETTING": "1"}})
SIZES = Sizes(observe_seconds=1, block_seconds=1, warm_up_seconds=0, pairs=2)
FIRST = replace(RIGHT, also=("pool in shop",))
SECOND = replace(RIGHT, bottleneck=Bottleneck.POOL, service="shop")


def draw(_source: random.Random) -> Setting:
    truth = replace(TRUTH, also=Truth(Bottleneck.POOL, "shop"))
    demand = Demand(utilisation=0.5, rate_per_second=4.5)
    return Setting(place="in both", before=BEFORE, after=HEALTHY, demand=demand, truth=truth)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the steps of a trial in order; they take no time, and each diagnosis is right."""
    done: list[str] = []

    async def run(_testbed: Testbed, variant: Variant, *_: object, observation: Path | None, **__: object) -> Block:
        side = "before" if variant is BEFORE else "after"
        done.append(f"observe {side}" if observation else side)
        if observation:
            observation.mkdir(parents=True)
            (observation / "requests.json").write_text("{}")
        return block(1, "before", (0.2, 0.4) if side == "before" else (0.1, 0.2)).block

    async def diagnose(_observation: Path) -> bytes:
        done.append("diagnose")
        return orjson.dumps(FIRST if done.count("diagnose") == 1 else SECOND)

    monkeypatch.setattr(trial_module, "run_block", run)
    monkeypatch.setattr(trial_module, "diagnose_blindly", diagnose)
    return done


async def run_trial(path: Path) -> Score:
    testbed, tried = cast("Testbed", None), replace(experiment(), draw=draw)
    return await Trial(tried, testbed=testbed, seed=1, sizes=SIZES, path=path, environment={}).run()


async def test_the_smaller_bottleneck_is_looked_for_after_the_fix(tmp_path: Path, steps: list[str]) -> None:
    result = await run_trial(tmp_path)
    assert steps[:2] == ["observe before", "diagnose"]
    assert sorted(steps[2:-2]) == ["after", "after", "before", "before"]
    assert steps[-2:] == ["observe after", "diagnose"]
    assert result.following is not None
    assert (result.following.said, result.following.wrong) == (SECOND.sentence(), "")
    assert result.passed


async def test_a_trial_that_goes_on_keeps_the_diagnosis_after_the_fix(tmp_path: Path, steps: list[str]) -> None:
    first = await run_trial(tmp_path)
    count = len(steps)
    assert await run_trial(tmp_path) == first
    assert len(steps) == count
