"""Verdicts on the first requests of recordings of foreign systems: class and place are those of the written truth."""

from pathlib import Path

import pytest

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation_folder import read_observation
from tests.recorded.recordings import unpack_archive
from tests.strangers.judge import Judgement
from tests.strangers.mutations import Outcome, try_mutations
from tests.strangers.settings import read_settings

RECORDED = Path(__file__).parents[2] / "strangers/recorded"
SETTINGS = {setting.name: setting for setting in read_settings()}
NAMES = sorted(path.name.partition(".")[0] for path in RECORDED.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_class_and_place_are_those_of_the_truth(name: str, tmp_path: Path) -> None:
    verdict = diagnose(read_observation(unpack_archive(RECORDED / f"{name}.tar.xz", tmp_path)))
    judged = Judgement(SETTINGS[name], traces_only=True, verdict=verdict, fixed_seconds=None)
    assert judged.right, judged.cell()


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_a_mutation_keeps_the_verdict_or_makes_it_abstain(name: str, tmp_path: Path) -> None:
    trials = try_mutations(read_observation(unpack_archive(RECORDED / f"{name}.tar.xz", tmp_path)))
    print(*(trial.sentence() for trial in trials), sep="\n")  # noqa: T201 - read when the test fails
    # The queue of the first requests is short: of them alone, the query is the slower part.
    excused = {"truncated"} if name in {"hotrod-default-loaded", "hotrod-no-mutex-loaded"} else set()
    assert {trial.mutation for trial in trials if trial.outcome is Outcome.OTHER} <= excused
