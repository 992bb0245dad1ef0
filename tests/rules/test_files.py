"""Checks that the committed rules are current, and that Prometheus and Alertmanager accept them."""

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
import yaml

from observability.prometheus.build.__main__ import stale_files
from observability.prometheus.build.alertmanager import alertmanager_configuration
from observability.prometheus.build.configuration import local_configuration
from observability.prometheus.build.pace import DAY, HOUR, MINUTE, Pace
from observability.prometheus.build.rule_files import rule_documents, write_rule_files
from tests.patience import PATIENCE_SECONDS
from tests.rules.rules import DIRECTORY

ALERTMANAGER = DIRECTORY / "alertmanager.yml"


def run(*command: str | Path) -> str:
    """Run a tool; return what it says, raise when it does not accept what it is given."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS).stdout


def receiver_of(**labels: str) -> str:
    """Return the receiver of an alert with these labels."""
    pairs = [f"{name}={value}" for name, value in labels.items()]
    return run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *pairs).strip()


def test_committed_files_match_the_build() -> None:
    assert stale_files() == []


def test_a_file_that_differs_is_named(tmp_path: Path) -> None:
    for path in DIRECTORY.glob("*.yml"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "slo.rules.yml").write_text("groups: []\n")
    (tmp_path / "forgotten.rules.yml").write_text("groups: []\n")
    assert stale_files(tmp_path) == ["forgotten.rules.yml", "slo.rules.yml"]


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.rules.yml")), ids=lambda path: path.name)
def test_promtool_accepts_a_rule_file(path: Path) -> None:
    assert "SUCCESS" in run("promtool", "check", "rules", path)


def test_promtool_accepts_the_configuration_with_its_rules(tmp_path: Path) -> None:
    """The rules are looked for where docker compose mounts them: here in their folder."""
    configuration = yaml.safe_load((DIRECTORY / "prometheus.yml").read_text())
    assert configuration["rule_files"] == ["/etc/prometheus/*.rules.yml"]
    configuration["rule_files"] = [str(DIRECTORY / "*.rules.yml")]
    path = tmp_path / "prometheus.json"
    path.write_text(json.dumps(configuration))
    assert run("promtool", "check", "config", path).count("rules found") == len(rule_documents())


def test_promtool_accepts_the_configuration_of_a_drill(tmp_path: Path) -> None:
    write_rule_files(tmp_path / "rules", scale=60)
    local = local_configuration({"monolith": "127.0.0.1:8403"}, "127.0.0.1:9093", tmp_path / "rules", 60)
    path = tmp_path / "prometheus.json"
    path.write_text(json.dumps(local))
    assert run("promtool", "check", "config", path).count("rules found") == len(rule_documents())


def test_every_local_alert_leads_to_a_runbook_that_is_there(tmp_path: Path) -> None:
    write_rule_files(tmp_path)
    files = [json.loads(file.read_text()) for file in tmp_path.glob("*.rules.yml")]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"] if "alert" in rule]
    urls = [urlsplit(rule["annotations"]["runbook_url"]) for rule in rules]
    assert urls
    assert {url.scheme for url in urls} == {"file"}
    assert all(Path(url2pathname(url.path)).is_file() for url in urls)


def test_a_local_configuration_without_alertmanager_names_none(tmp_path: Path) -> None:
    assert "alerting" not in local_configuration({"order": "127.0.0.1:8403"}, None, tmp_path, 1)


def test_amtool_accepts_the_configuration() -> None:
    assert "SUCCESS" in run("amtool", "check-config", ALERTMANAGER)


def test_amtool_accepts_the_configuration_at_the_pace_of_a_drill(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.json"
    path.write_text(json.dumps(alertmanager_configuration(credentials_file=None, scale=60)))
    assert "SUCCESS" in run("amtool", "check-config", path)


def test_a_page_goes_to_the_on_call_receiver() -> None:
    assert receiver_of(alertname="ShopOrderPlacementErrors", severity="critical") == "page"


def test_a_warning_makes_a_ticket() -> None:
    assert receiver_of(alertname="ShopOutboxStalled", severity="warning") == "ticket"


def test_the_watchdog_has_a_route_of_its_own() -> None:
    assert receiver_of(alertname="ShopWatchdog", severity="info") == "watchdog"


def test_receivers_get_resolutions_and_read_tokens_from_files() -> None:
    for receiver in yaml.safe_load(ALERTMANAGER.read_text())["receivers"]:
        (webhook,) = receiver["webhook_configs"]
        assert webhook["send_resolved"] is True
        assert webhook["http_config"] == {"authorization": {"credentials_file": "/run/secrets/alert_webhook_token"}}


@pytest.mark.parametrize(
    ("seconds", "scale", "text"),
    [
        (5 * MINUTE, 1, "5m"),
        (5 * MINUTE, 60, "5s"),
        (HOUR, 60, "1m"),
        (3 * DAY, 1, "3d"),
        (3 * DAY, 60, "72m"),
        (30, 60, "500ms"),
    ],
)
def test_a_duration_is_written_as_prometheus_writes_it(seconds: int, scale: int, text: str) -> None:
    assert Pace(scale)(seconds) == text


def test_a_drill_has_the_same_rules_but_for_their_windows() -> None:
    """Names, labels and limits stay."""

    def without_durations(documents: dict[str, Any]) -> list[Any]:
        rules = [rule for d in documents.values() for group in d["groups"] for rule in group["rules"]]
        return [(rule.get("record"), rule.get("alert"), rule.get("labels"), rule.get("annotations")) for rule in rules]

    assert without_durations(rule_documents(scale=60)) == without_durations(rule_documents())
