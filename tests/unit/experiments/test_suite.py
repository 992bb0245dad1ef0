"""Trials of a suite: which experiments it runs, and with which seeds."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from observability.cli import lab, main
from observability.experiments.experiment import NOTHING_WRONG
from observability.experiments.registry import experiments
from observability.experiments.runner import suite as suite_module
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
    async def start(_folder: Path, *, shards: int, replicas: int) -> AsyncIterator[NoServers]:
        steps.append(f"start {shards}, {replicas}")
        yield NoServers()
        steps.append(f"stop {shards}, {replicas}")

    async def diagnose(trial: Trial) -> None:
        steps.append(trial.experiment.name)
        raise TestbedError("no platform serves")

    monkeypatch.setattr(Testbed, "open", start)
    monkeypatch.setattr(Trial, "diagnose", diagnose)
    monkeypatch.setattr(suite_module, "check_available", lambda: None)
    async with Suite.open(SuiteOptions(output=tmp_path, sizes=QUICK), say=silent) as suite:
        for name in ("healthy", "n_plus_one", "hot_shard", "read_saturation"):
            with pytest.raises(TestbedError):
                await suite.answer(name, 1)
    on_one, on_three = ["healthy", "n_plus_one"], ["hot_shard"]
    with_replicas = ["start 1, 2", "read_saturation", "stop 1, 2"]
    assert steps == ["start 1, 0", *on_one, "stop 1, 0", "start 3, 0", *on_three, "stop 3, 0", *with_replicas]


def test_a_testbed_that_cannot_start_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no failure of the one experiment, after which the next would be tried."""

    @asynccontextmanager
    async def start(_folder: Path, *, shards: int, replicas: int) -> AsyncIterator[NoServers]:
        raise TestbedError(f"no server for {shards + replicas}")
        yield NoServers()

    monkeypatch.setattr(Testbed, "open", start)
    result = CliRunner().invoke(main, ["lab", "run", "healthy", "--output", str(tmp_path)])
    assert "no server for 1" in result.output
    assert "not finished" not in result.output
    assert result.exit_code == 3


@pytest.mark.parametrize(
    ("asked_for", "says", "status"),
    [
        (("--all",), "hot_shard: skipped, no control groups here", 0),
        (("hot_shard",), "no control groups here", 3),
    ],
    ids=["all", "the one that was named"],
)
def test_without_control_groups_an_experiment_is_skipped_aloud(
    asked_for: tuple[str, ...], says: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking() -> None:
        raise TestbedError("no control groups here")

    monkeypatch.setattr(suite_module, "check_available", lacking)
    monkeypatch.setattr(lab, "names", lambda: ("hot_shard",))
    result = CliRunner().invoke(main, ["lab", "run", *asked_for, "--output", str(tmp_path)])
    assert says in result.output
    assert result.exit_code == status
