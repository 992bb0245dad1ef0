"""Metamorphic tests of the diagnosis: renaming, reordering or rescaling an observation does not change the verdict.

How these were made says tests/recorded/trim.py.
"""

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import orjson
import pytest

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation
from observability.analysis.observation_folder import read_observation
from observability.analysis.verdict import Answer, Verdict
from observability.experiments.runner.diagnose_subprocess import diagnose_blindly
from tests.full import in_full
from tests.recorded.alterations import Names, renamed, slowed, traces_alone, with_other_targets
from tests.recorded.recordings import RECORDED, Place, place_of, unpack
from tests.recorded.trim import REQUESTS, trim

# `make test` has one with a bottleneck and one without.
FEW = ("healthy", "n_plus_one")


@pytest.fixture(scope="module", params=[*FEW, *in_full(*(name for name in RECORDED if name not in FEW))])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recorded observation as files."""
    return unpack(request.param, tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def observation(folder: Path) -> Observation:
    """Return the same, read."""
    return read_observation(folder)


@pytest.fixture(scope="module")
def verdict(observation: Observation) -> Verdict:
    """Return its verdict."""
    return diagnose(observation)


@pytest.fixture
def truth(folder: Path) -> Place:
    """Return the parameters of the recorded experiment."""
    return RECORDED[folder.name]


# --- What is said -----------------------------------------------------------------------------------------------------


def test_the_verdict_is_the_truth(verdict: Verdict, truth: Place) -> None:
    assert place_of(verdict) == truth


@pytest.mark.full
def test_diagnosis_is_deterministic(observation: Observation, verdict: Verdict) -> None:
    assert diagnose(observation) == verdict


# --- What names, speed and order have to do with it -------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.full)])
def test_under_other_names_it_is_the_same_with_those_names(
    observation: Observation, verdict: Verdict, seed: int
) -> None:
    names = Names(seed)
    found = diagnose(renamed(observation, names))
    assert names.restore(found) == verdict


def test_under_other_names_nothing_keeps_its_own(observation: Observation) -> None:
    assert not given_names(observation) & given_names(renamed(observation, Names(1)))


def test_diagnosis_does_not_depend_on_names_of_scrape_targets(observation: Observation, truth: Place) -> None:
    assert place_of(diagnose(with_other_targets(observation))) == truth


@pytest.mark.full
@pytest.mark.parametrize("factor", [Fraction(3, 10), Fraction(3)], ids=["faster", "slower"])
def test_at_another_speed_it_names_the_same(observation: Observation, truth: Place, factor: Fraction) -> None:
    assert place_of(diagnose(slowed(observation, factor))) == truth


def test_diagnosis_ignores_order_and_duplicates_of_spans(folder: Path, verdict: Verdict, tmp_path: Path) -> None:
    for path in folder.iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(shuffled_twice(content) if path.name == "traces.jsonl" else content)
    assert orjson.dumps(diagnose(read_observation(tmp_path))) == orjson.dumps(verdict)


# --- What it can do without -------------------------------------------------------------------------------------------


def test_from_traces_alone_it_names_the_same_or_nothing(observation: Observation, truth: Place) -> None:
    found = place_of(diagnose(traces_alone(observation)))
    assert found in {truth, Place(Answer.CANNOT_TELL)}


@pytest.mark.full
def test_from_half_of_the_requests_it_names_the_same(folder: Path, truth: Place, tmp_path: Path) -> None:
    trim(folder, tmp_path, requests=REQUESTS // 2)
    found = diagnose(read_observation(tmp_path))
    assert (place_of(found), found.requests) == (truth, 30)


# --- What it cannot see -----------------------------------------------------------------------------------------------


async def test_concurrent_runs_do_not_change_the_diagnosis(tmp_path: Path) -> None:
    """A healthy run, blocks with the fix and the truth lie beside one of two copies, which has another name."""
    alone = unpack("n_plus_one", tmp_path / "alone")
    trial = tmp_path / "trial"
    among = unpack("n_plus_one", trial / "observation").rename(trial / "observation" / "5f0c21d8")
    unpack("healthy", trial / "observation")
    (trial / "blocks").mkdir()
    for name in ("claim.json", "blocks/01-before.json", "blocks/01-after.json"):
        (trial / name).write_text("{}")
    told_alone, told_among = await diagnose_blindly(alone), await diagnose_blindly(among)
    assert told_alone == told_among
    assert orjson.loads(told_alone)["prediction"]["after"]["p95"]["value"] > 0


def given_names(observation: Observation) -> set[str]:
    """Give what services, scraped targets, processes, tables and databases are called."""
    spans = [node.span for trace in observation.traces for node in trace.roots[0].walk()]
    called = {span.service for span in spans} | {each.target for each in observation.scrapes}
    called |= {each.process for each in observation.processes}
    return called | {name for each in observation.tables for name in (each.database, each.table)}


def shuffled_twice(traces: bytes) -> bytes:
    """Write every span twice, lines and spans of a line in any order."""
    source = random.Random(7)
    lines: list[Any] = [orjson.loads(line) for line in traces.splitlines()] * 2
    source.shuffle(lines)
    for line in lines:
        for resource in line["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                source.shuffle(scope["spans"])
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
