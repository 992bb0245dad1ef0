"""Cases of the alerts: each fires when it should and stays silent otherwise."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.each import for_each
from tests.rules.promtool import Cases, all_cases, failing
from tests.rules.rules import alert_of, alerts, needed_by, rule_file

CASES = all_cases()
# The same alert over an hour is in `make test`; to compute days takes promtool longer than all others together.
OF_LONG_WINDOWS = [cases for cases in CASES if cases.select.get("long_window", "1h") != "1h"]


def failures_of(checked: Iterable[Cases], folder: Path) -> dict[str, str]:
    """Return what promtool says of each file of cases that fails, over the committed rules."""
    tests: dict[Path, str] = {}
    for cases in checked:
        rule = alert_of(cases.alert, dict(cases.select))
        rules = folder / f"{cases.name}.rules.json"
        rules.write_text(json.dumps(rule_file([*needed_by(rule), rule])))
        test = folder / f"{cases.name}.test.json"
        test.write_text(json.dumps(cases.document(rules)))
        tests[test] = cases.name
    return {tests[path]: said for path, said in failing(list(tests)).items()}


def test_an_alert_does_what_its_cases_say(tmp_path: Path) -> None:
    assert failures_of([cases for cases in CASES if cases not in OF_LONG_WINDOWS], tmp_path) == {}


@pytest.mark.full
def test_an_alert_of_a_long_window_does_what_its_cases_say(tmp_path: Path) -> None:
    assert failures_of(OF_LONG_WINDOWS, tmp_path) == {}


def test_every_alert_has_cases() -> None:
    """An alert of which there are several has a file for each."""
    tested = [alert_of(cases.alert, dict(cases.select)) for cases in CASES]
    assert [rule["alert"] for rule in alerts() if rule not in tested] == []


@for_each(CASES, name=lambda cases: cases.name)
def test_every_alert_has_a_case_that_fires(cases: Cases) -> None:
    assert any(expected != "silent" for case in cases.cases for expected in case["then"].values())


@for_each([cases for cases in CASES if cases.alert != "ShopWatchdog"], name=lambda cases: cases.name)
def test_every_alert_but_the_watchdog_is_seen_silent(cases: Cases) -> None:
    assert any(expected == "silent" for case in cases.cases for expected in case["then"].values())
