"""Checks that the committed dashboards are current, and that Prometheus parses their expressions."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from grafana.build.__main__ import DASHBOARDS, differing, render
from observability.testbed.monitoring.panels import dashboards, expressions
from tests.patience import PATIENCE_SECONDS

PROMTOOL = shutil.which("promtool")


def test_committed_dashboards_match_the_build() -> None:
    assert differing() == []


def test_a_stale_a_missing_and_a_foreign_file_are_found(tmp_path: Path) -> None:
    built = render()
    for name, text in built.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "shop-events.json").write_text("{}")
    (tmp_path / "shop-runtime.json").unlink()
    (tmp_path / "mine.json").write_text("{}")
    assert differing(tmp_path) == ["mine.json", "shop-events.json", "shop-runtime.json"]


def test_there_are_five_dashboards() -> None:
    uids = {"shop-overview", "shop-service", "shop-dependencies", "shop-events", "shop-runtime"}
    assert {dashboard["uid"] for dashboard in dashboards()} == uids
    assert {path.stem for path in DASHBOARDS.iterdir()} == uids


def test_no_variable_is_left_in_an_expression_that_is_run() -> None:
    assert not [str(expression) for expression in expressions() if "$" in expression.text]


def test_a_query_may_have_a_longer_rate_interval() -> None:
    assert {"5m"} == {"5m" for expression in expressions("5m") if "[5m]" in expression.text}
    assert not [expression for expression in expressions("5m") if "[1m]" in expression.text]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: apt-get install prometheus)")
def test_prometheus_parses_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{place}", "expr": query.text} for place, query in enumerate(expressions())]
    file = tmp_path / "panels.rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert PROMTOOL
    checked = subprocess.run(
        [PROMTOOL, "check", "rules", file], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout
