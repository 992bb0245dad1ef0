"""Verdicts on mutated recordings: other exporters, names and clocks must not lead to another verdict."""

from pathlib import Path

import pytest

from observability.analysis.observation import read_observation
from tests.recorded.recordings import unpack
from tests.strangers.mutations import Outcome, try_mutations

# Mutations that still lead to another verdict. The goal is none; a mutation that no longer does is removed from here.
NOT_YET = {
    "healthy": set[str](),
    "n_plus_one": {"without_kinds", "all_internal", "literals_in_statements", "long_polls", "opentracing_tags"},
}


@pytest.mark.parametrize("name", NOT_YET)
def test_a_mutation_keeps_the_verdict_or_makes_it_abstain(name: str, tmp_path: Path) -> None:
    trials = try_mutations(read_observation(unpack(name, tmp_path)))
    print(*(trial.sentence() for trial in trials), sep="\n")  # noqa: T201 - read when the test fails
    others = {trial.mutation for trial in trials if trial.outcome is Outcome.OTHER}
    assert others <= NOT_YET[name]
