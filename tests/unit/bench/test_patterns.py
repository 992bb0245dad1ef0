"""Table of patterns: it is what the stored results render to, and all that it names exists."""

import dataclasses
from pathlib import Path

import pytest

from observability.analysis.comparison import Estimate
from observability.bench.patterns.catalogue import PATTERNS
from observability.bench.patterns.document import (
    FORMAT,
    PatternResult,
    Results,
    encode,
    read_results,
    render,
    sentence,
)
from observability.bench.patterns.effect import PatternEffect, Unit, mean_effect, ratio_effect, share_effect
from observability.bench.patterns.measurements import ALONE, ON_TESTBED, OUTAGE
from observability.bench.patterns.provenance import ROOT
from observability.experiments.registry import experiments
from tests.each import for_each

DOCS = ROOT / "docs"
MEASURED = PatternResult(
    date="2026-11-30T12:00:00+00:00",
    commit="0123456789ab",
    loop_milliseconds=(20.0, 21.0),
    environment={"processor": "some"},
    effects=[share_effect("orders kept", 7, 8)],
)


def test_the_committed_table_is_what_the_results_render_to() -> None:
    """After a change of the texts: `plumb bench patterns --render --to docs`."""
    results = read_results(DOCS / "patterns.json")
    assert (DOCS / "patterns.md").read_text() == render(results, folder=DOCS, root=ROOT)


def test_the_committed_results_are_as_the_command_writes_them() -> None:
    path = DOCS / "patterns.json"
    assert path.read_bytes() == encode(read_results(path))


def test_the_committed_results_have_known_patterns_only() -> None:
    assert set(read_results(DOCS / "patterns.json").patterns) <= {pattern.name for pattern in PATTERNS}


def test_each_pattern_has_one_measurement() -> None:
    measured = [*ON_TESTBED, *OUTAGE, *ALONE]
    assert sorted(measured) == sorted(pattern.name for pattern in PATTERNS)


@for_each([path for pattern in PATTERNS for path in pattern.where])
def test_a_path_of_a_pattern_exists(path: str) -> None:
    assert (ROOT / path).exists()


@for_each([command for pattern in PATTERNS for command in pattern.shown_by if command.startswith("plumb lab run ")])
def test_an_experiment_of_a_pattern_exists(command: str) -> None:
    """The other words of commands are checked with those of all documents."""
    assert command.split()[3] in experiments()


def test_results_are_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "patterns.json"
    results = Results(FORMAT, {"events": MEASURED})
    path.write_bytes(encode(results))
    assert encode(read_results(path)) == encode(results)


def test_results_of_another_format_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "patterns.json"
    path.write_bytes(encode(Results("something/9", {})))
    with pytest.raises(ValueError, match="something/9"):
        read_results(path)


def test_render_names_what_was_not_measured() -> None:
    table = render(Results(FORMAT, {"events": MEASURED}), folder=DOCS, root=ROOT)
    assert table.count("not measured yet") == len(PATTERNS) - 1
    assert "2026-11-30, commit 0123456789ab: events" in table


def test_sentence_of_a_ratio_has_its_interval() -> None:
    effect = PatternEffect(what="a / b", unit=Unit.RATIO, figure=Estimate(0.5, 0.004567, 1.25), count=6)
    assert sentence(effect) == "a / b: **0.50** (0.0046 to 1.25)"


def test_sentence_of_a_large_figure_has_no_false_digits() -> None:
    effect = PatternEffect(what="a", unit=Unit.NUMBER, figure=Estimate(1234.56, -12.345, 9.876), count=6)
    assert sentence(effect) == "a: **1,235** (-12.3 to 9.88)"


def test_sentence_says_how_many_blocks_were_invalid() -> None:
    effect = dataclasses.replace(mean_effect("a", "side", [1.0, 1.0]), invalid=2)
    assert sentence(effect) == "a: **1.00** (1.00 to 1.00; 2 blocks invalid)"


def test_sentence_of_a_share_has_its_trials() -> None:
    assert sentence(share_effect("sold", 20, 20)) == "sold: **100 %** of 20 (83.2 % to 100 %)"


def test_ratio_effect_pairs_the_blocks() -> None:
    effect = ratio_effect("a / b", {"a": [1.0, 4.0], "b": [2.0, 8.0]})
    assert (effect.figure, effect.count) == (Estimate(0.5, 0.5, 0.5), 2)
