"""Trials of a suite: which experiments it runs, and with which seeds."""

from collections import Counter

from observability.experiments.experiment import NOTHING_WRONG
from observability.experiments.registry import experiments
from observability.experiments.runner.suite import asked


def test_every_experiment_runs_under_each_seed() -> None:
    every = asked(first=5, seeds=2, least_negatives=0)
    assert set(every) == {(name, seed) for name in experiments() for seed in (5, 6)}


def test_healthy_experiments_get_more_seeds_up_to_a_count() -> None:
    every = asked(first=1, seeds=1, least_negatives=20)
    negatives = [(name, seed) for name, seed in every if experiments()[name].kind in NOTHING_WRONG]
    assert len(negatives) == len(set(negatives)) == 20
    assert max(Counter(name for name, _ in negatives).values()) <= 5
