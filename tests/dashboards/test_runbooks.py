"""Checks of the form of the runbooks, and that their PromQL and their panels exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from observability.testbed.monitoring.panels import dashboards, panels
from tests.dashboards.promql import aggregations, selectors
from tests.dashboards.vocabulary import TARGET_LABELS, Series, rules, vocabulary
from tests.each import for_each
from tests.patience import PATIENCE_SECONDS
from tests.runbooks import HEADINGS, Runbook, runbooks

GRAFANA = "http://127.0.0.1:3000"
# Series that a runbook asks for and no panel draws, with their labels.
UNDRAWN = {
    "otelcol_exporter_queue_size": "exporter",
    "otelcol_exporter_queue_capacity": "exporter",
}
KNOWN = {
    **{name: Series(name, name.endswith("_total"), frozenset(labels.split()), "") for name, labels in UNDRAWN.items()},
    **vocabulary(),
}
RUNBOOKS = runbooks()
EXPRESSIONS = [text for book in RUNBOOKS for text in book.pasted("promql")]
ALERTS: list[dict[str, Any]] = [rule for rule in rules() if "alert" in rule]
URLS = {alert["alert"]: alert["annotations"]["dashboard_url"] for alert in ALERTS}
TITLES = {
    f"{GRAFANA}/d/{board['uid']}?viewPanel={panel['id']}": f"{board['title']}, panel {panel['title']}"
    for board in dashboards()
    for panel in panels(board)
}
METRIC = re.compile(
    r"`((?:shop|http_server|rpc|db_client|otel_sdk|otelcol|process|prometheus|alertmanager)_[a-z0-9_]+)"
)
LEAST_CHECKS = 2
LEAST_STEPS = 2
each_runbook = for_each(RUNBOOKS, name=lambda book: book.alert)


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert [book.alert for book in RUNBOOKS] == sorted(URLS)


@each_runbook
def test_a_runbook_has_the_agreed_headings_in_their_order(book: Runbook) -> None:
    assert book.headings() == [f"# {book.alert}", *(f"## {name}" for name in HEADINGS)]


@each_runbook
def test_no_section_is_empty_or_a_reference(book: Runbook) -> None:
    assert book.references() == []


@each_runbook
def test_a_runbook_links_to_no_other(book: Runbook) -> None:
    assert [target for _, target in book.links() if target.endswith(".md")] == []


@each_runbook
def test_a_runbook_links_to_the_panel_of_its_alert_first(book: Runbook) -> None:
    links = re.findall(r"\]\(([^)]+)\)", book.sections["Look"])
    assert links[0] == GRAFANA + URLS[book.alert]


@each_runbook
def test_a_link_to_a_panel_has_its_title(book: Runbook) -> None:
    linked = [(text, target) for text, target in book.links() if "/d/" in target]
    assert [(text, target) for text, target in linked if TITLES.get(target) != text] == []


@each_runbook
def test_diagnosis_commands_have_a_good_and_a_bad_result(book: Runbook) -> None:
    """But for what opens a session of psql, whose statements follow."""
    checks = [block for block in book.blocks("Diagnose") if "psql " not in block.text]
    assert len(checks) >= LEAST_CHECKS
    for block in checks:
        assert re.search(r"^ *- Good: ", block.after, re.MULTILINE), block.text
        assert re.search(r"^ *- Bad: ", block.after, re.MULTILINE), block.text


@each_runbook
def test_a_runbook_says_what_to_do_step_by_step(book: Runbook) -> None:
    steps = re.findall(r"^(\d+)\. ", book.sections["Mitigate"], re.MULTILINE)
    assert steps == [str(number) for number in range(1, len(steps) + 1)]
    assert len(steps) >= LEAST_STEPS


@each_runbook
def test_a_block_names_its_language(book: Runbook) -> None:
    assert {block.language for heading in HEADINGS for block in book.blocks(heading)} <= {"promql", "sql", "sh"}


@each_runbook
def test_prose_speaks_of_metrics_that_exist(book: Runbook) -> None:
    named = METRIC.findall(book.text)
    assert set(named) <= KNOWN.keys() | {series.metric for series in KNOWN.values()}


def test_series_without_a_panel_are_in_a_runbook() -> None:
    asked = {selector.name for text in EXPRESSIONS for selector in selectors(text)}
    assert UNDRAWN.keys() <= asked


def test_promtool_parses_every_expression(tmp_path: Path) -> None:
    recordings = [{"record": f"runbook:{number}", "expr": text} for number, text in enumerate(EXPRESSIONS)]
    path = tmp_path / "runbooks.rules.json"
    path.write_text(json.dumps({"groups": [{"name": "runbooks", "rules": recordings}]}))
    command = ["promtool", "check", "rules", str(path)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@each_runbook
def test_an_expression_reads_series_that_exist(book: Runbook) -> None:
    read = [selector for text in book.pasted("promql") for selector in selectors(text)]
    assert [selector for selector in read if not selector.names(list(KNOWN))] == []


@each_runbook
def test_a_matcher_names_a_label_of_its_series(book: Runbook) -> None:
    for selector in (selector for text in book.pasted("promql") for selector in selectors(text)):
        used = {label for label, _, _ in selector.matchers} - {"__name__"}
        for name in selector.names(list(KNOWN)):
            assert used <= KNOWN[name].labels | TARGET_LABELS, name


@each_runbook
def test_sum_labels_are_labels_of_the_series(book: Runbook) -> None:
    for labels, summed in (found for text in book.pasted("promql") for found in aggregations(text)):
        for selector in selectors(summed):
            known = [KNOWN[name].labels for name in selector.names(list(KNOWN))]
            assert set(labels) <= TARGET_LABELS.union(*known), selector.name


@each_runbook
def test_rates_are_of_counters_alone(book: Runbook) -> None:
    for selector in (selector for text in book.pasted("promql") for selector in selectors(text)):
        for name in selector.names(list(KNOWN)):
            assert selector.of_growth == KNOWN[name].grows, name
