"""Checks of Grafana's provisioning: datasources, dashboards, and links between signals."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.dashboards.vocabulary import RULES

PROVISIONING = Path(__file__).parents[2] / "grafana" / "provisioning"
FILE = yaml.safe_load((PROVISIONING / "datasources" / "datasources.yml").read_text())
SOURCES: dict[str, dict[str, Any]] = {source["uid"]: source for source in FILE["datasources"]}


def test_the_datasources_are_at_their_names_in_compose() -> None:
    urls = {uid: source["url"] for uid, source in SOURCES.items()}
    assert urls == {"prometheus": "http://prometheus:9090", "jaeger": "http://jaeger:16686", "loki": "http://loki:3100"}


def test_an_exemplar_leads_to_its_trace() -> None:
    exemplars = SOURCES["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert [(link["name"], link["datasourceUid"]) for link in exemplars] == [("trace_id", "jaeger")]


def test_a_trace_leads_to_its_log_lines() -> None:
    link = SOURCES["jaeger"]["jsonData"]["tracesToLogsV2"]
    assert link["datasourceUid"] == "loki"
    assert "$${__trace.traceId}" in link["query"]


def test_a_log_line_leads_to_its_trace() -> None:
    field = SOURCES["loki"]["jsonData"]["derivedFields"][0]
    line = '{"event":"order.bug_found","trace_id":"6c56efa976827abcc83182ec9cb7efe3","span_id":"1234567890abcdef"}'
    found = re.search(field["matcherRegex"], line)
    assert field["datasourceUid"] == "jaeger"
    assert found
    assert found[1] == "6c56efa976827abcc83182ec9cb7efe3"


def test_rate_intervals_follow_the_scrape_interval() -> None:
    scrape = yaml.safe_load((RULES / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert SOURCES["prometheus"]["jsonData"]["timeInterval"] == scrape


def test_a_dollar_outside_of_a_variable_is_escaped() -> None:
    text = (PROVISIONING / "datasources" / "datasources.yml").read_text()
    lines = [line for line in text.splitlines() if not line.strip().startswith("#")]
    assert not re.findall(r"(?<!\$)\$(?!\$)", "\n".join(lines))


def test_dashboards_are_read_from_files() -> None:
    provider = yaml.safe_load((PROVISIONING / "dashboards" / "dashboards.yml").read_text())["providers"][0]
    assert provider["type"] == "file"
    assert provider["options"]["path"]
