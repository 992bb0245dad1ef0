"""Mutation tests of the rules: each mutant must fail a case of an alert that needs the rule."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.rules.promtool import check_rules
from tests.rules.trials import Subject, subjects, survivors_of

SURVIVORS = Path(__file__).parent / "survivors.yml"


@pytest.fixture(scope="module")
def everything() -> list[Subject]:
    return subjects()


def test_every_mutant_is_a_rule_that_prometheus_accepts(everything: list[Subject], tmp_path: Path) -> None:
    """A mutant that Prometheus rejects would be killed for its syntax and not for its effect."""
    rules = tmp_path / "mutants.rules.json"
    groups = [{"name": str(i), "rules": [subject.mutant.rule]} for i, subject in enumerate(everything)]
    rules.write_text(json.dumps({"groups": groups}))
    check_rules([rules])


@pytest.mark.full
def test_every_mutant_is_killed_but_those_that_have_a_reason(
    everything: list[Subject], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A listed one that is killed after all is an error too."""
    found = {subject.name for subject in survivors_of(everything, tmp_path)}
    explained = yaml.safe_load(SURVIVORS.read_text())["survivors"]
    record_property("mutants", len(everything))
    record_property("survivors", len(found))
    assert sorted(found) == sorted(explained)
