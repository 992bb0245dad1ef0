"""Verdicts on mutated recordings: other exporters, names and clocks must not lead to another verdict."""

from pathlib import Path

import pytest

from observability.analysis.observation_folder import read_observation
from tests.recorded.recordings import unpack
from tests.strangers.mutations import Outcome, try_mutations


@pytest.mark.full
@pytest.mark.parametrize("name", ["n_plus_one", "healthy"])
def test_a_mutation_keeps_the_verdict_or_makes_it_abstain(name: str, tmp_path: Path) -> None:
    trials = try_mutations(read_observation(unpack(name, tmp_path)))
    print(*(trial.sentence() for trial in trials), sep="\n")  # noqa: T201 - read when the test fails
    assert [trial.mutation for trial in trials if trial.outcome is Outcome.OTHER] == []
