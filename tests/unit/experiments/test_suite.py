"""Trials of a suite: which experiments it runs, and with which seeds."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from observability.cli import main
from observability.experiments.experiment import NOTHING_WRONG
from observability.experiments.registry import experiments
from observability.experiments.runner.artifacts import QUICK
from observability.experiments.runner.suite import Suite, SuiteOptions, asked
from observability.experiments.runner.testbed import Testbed
from observability.experiments.runner.trial import Trial, silent
from observability.testbed.errors import TestbedError


def test_every_experiment_runs_under_each_seed() -> None:
    every = asked(first=5, seeds=2, least_negatives=0)
    assert set(every) == {(name, seed) for name in experiments() for seed in (5, 6)}


def test_healthy_experiments_get_more_seeds_up_to_a_count() -> None:
    every = asked(first=1, seeds=1, least_negatives=20)
    negatives = [(name, seed) for name, seed in every if experiments()[name].kind in NOTHING_WRONG]
    assert len(negatives) == len(set(negatives)) == 20
    assert max(Counter(name for name, _ in negatives).values()) <= 5


class NoServers:
    """Stands for a testbed, whose start takes seconds."""

    async def describe_environment(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}


async def test_trials_share_a_testbed_and_another_number_of_servers_needs_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def start(_folder: Path, *, shards: int) -> AsyncIterator[NoServers]:
        steps.append(f"start {shards}")
        yield NoServers()
        steps.append(f"stop {shards}")

    async def diagnose(trial: Trial) -> None:
        steps.append(trial.experiment.name)
        raise TestbedError("no platform serves")

    monkeypatch.setattr(Testbed, "open", start)
    monkeypatch.setattr(Trial, "diagnose", diagnose)
    async with Suite.open(SuiteOptions(output=tmp_path, sizes=QUICK), say=silent) as suite:
        for name in ("healthy", "n_plus_one", "hot_shard"):
            with pytest.raises(TestbedError):
                await suite.answer(name, 1)
    assert steps == ["start 1", "healthy", "n_plus_one", "stop 1", "start 2", "hot_shard", "stop 2"]


def test_a_testbed_that_cannot_start_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no failure of the one experiment, after which the next would be tried."""

    @asynccontextmanager
    async def start(_folder: Path, *, shards: int) -> AsyncIterator[NoServers]:
        raise TestbedError(f"no server for {shards}")
        yield NoServers()

    monkeypatch.setattr(Testbed, "open", start)
    result = CliRunner().invoke(main, ["lab", "run", "healthy", "--output", str(tmp_path)])
    assert "no server for 1" in result.output
    assert "not finished" not in result.output
    assert result.exit_code == 3
