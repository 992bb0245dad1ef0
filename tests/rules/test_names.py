"""Names in rules and README: metrics, bounds, runbooks and panels exist."""

import json
import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from observability.telemetry.instruments import DURATION_BUCKETS_SECONDS
from observability.telemetry.metrics import Metrics
from tests.dashboards.promql import aggregations, selectors
from tests.dashboards.vocabulary import TARGET_LABELS, vocabulary
from tests.each import for_each
from tests.rules.rules import RECORDED, alerts, committed_rules

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "grafana" / "dashboards"
# What others export: the names that our texts may use. Of `process_*` prometheus-client makes ours.
FOREIGN = {
    "up",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_notifications_errors_total",
    "prometheus_notifications_sent_total",
    "alertmanager_notifications_failed_total",
    "otelcol_receiver_accepted_spans",
    "otelcol_receiver_refused_spans",
    "otelcol_processor_memory_limiter_refused_spans",
    "otelcol_exporter_send_failed_spans",
    "otelcol_exporter_enqueue_failed_spans",
    "otelcol_exporter_queue_size",
    "otelcol_exporter_queue_capacity",
}
# Words in our texts that look like a metric's name and are none.
NO_METRICS = {"shop_order_id"}
NAME = re.compile(
    r"\b(?:shop_|http_server_|rpc_server_|rpc_client_|db_client_|otel_sdk_|otelcol_|process_|prometheus_|alertmanager_)"
    r"[a-z0-9_]*[a-z0-9]"
)
LABELS = re.compile(r"\{[^}]*\}|by \([^)]*\)")
COLLECTOR = re.compile(r'__name__=~"([^"]*)"')


def series_names() -> set[str]:
    """Return every name that a scrape of the catalogue may show."""
    metrics = Metrics(registry=CollectorRegistry())
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count", "")}
    return {family.name + suffix for family in metrics.registry.collect() for suffix in suffixes.get(family.type, ())}


def names_in(text: str) -> set[str]:
    """Return the metrics that a text speaks of; a label is none."""
    return set(NAME.findall(LABELS.sub("", text))) - NO_METRICS


KNOWN = series_names() | FOREIGN
each_rule = for_each(committed_rules(), name=lambda rule: rule.get("alert") or rule["record"])
each_alert = for_each(alerts(), name=lambda alert: f"{alert['alert']} {alert['labels']}")


@each_rule
def test_a_rule_reads_metrics_that_exist(rule: dict[str, str]) -> None:
    assert names_in(rule["expr"]) <= KNOWN


def test_a_rule_on_the_collector_reads_metrics_that_exist() -> None:
    """All names that the pattern matches are in the list, and it matches some."""
    patterns = [pattern for rule in alerts() for pattern in COLLECTOR.findall(rule["expr"])]
    assert len(patterns) == 3
    for pattern in patterns:
        assert any(re.fullmatch(pattern, name) for name in FOREIGN), pattern


@each_rule
def test_a_bucket_is_one_of_the_catalogue(rule: dict[str, str]) -> None:
    bounds = {str(bound) for bound in DURATION_BUCKETS_SECONDS}
    assert set(re.findall(r'le="([^"]*)"', rule["expr"])) <= bounds


def test_recorded_series_are_those_that_rules_read() -> None:
    recorded = {rule["record"] for rule in committed_rules() if "record" in rule}
    read = {name for rule in committed_rules() for name in RECORDED.findall(rule["expr"])}
    assert read == recorded


def test_the_readme_speaks_of_metrics_that_exist() -> None:
    """The runbooks: tests/dashboards/test_runbooks.py, which knows their labels, too."""
    assert names_in((ROOT / "README.md").read_text()) <= KNOWN


@each_alert
def test_an_alert_leads_to_its_runbook(alert: dict[str, dict[str, str]]) -> None:
    """A file of this repository: no host that may not be there."""
    url = alert["annotations"]["runbook_url"]
    assert url == f"observability/runbooks/{alert['alert']}.md"
    assert (ROOT / url).is_file()


@each_alert
def test_an_alert_leads_to_a_panel(alert: dict[str, dict[str, str]]) -> None:
    panels = {
        f"/d/{dashboard['uid']}?viewPanel={panel['id']}"
        for dashboard in map(json.loads, (path.read_text() for path in DASHBOARDS.glob("*.json")))
        for row in dashboard["panels"]
        for panel in [row, *row.get("panels", [])]
    }
    assert alert["annotations"]["dashboard_url"] in panels


@each_alert
def test_an_alert_is_named_and_labelled_as_agreed(alert: dict[str, dict[str, str]]) -> None:
    assert str(alert["alert"]).startswith("Shop")
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert "{{" not in alert["annotations"]["summary"]


@each_alert
def test_alert_annotations_are_sentences(alert: dict[str, dict[str, str]]) -> None:
    for text in (alert["annotations"]["summary"], alert["annotations"]["description"]):
        assert re.fullmatch(r"[A-Z{].*\.", text)


@each_alert
def test_an_alert_says_how_much(alert: dict[str, dict[str, str]]) -> None:
    """Where the value is a quantity, not only 0 or 1."""
    is_quantity = not re.search(r"^absent|^vector|== 0$", str(alert["expr"]))
    assert ("$value" in alert["annotations"]["description"]) == is_quantity


@each_alert
def test_a_description_names_labels_that_the_alert_has(alert: dict[str, dict[str, str]]) -> None:
    """Labels that its expression keeps, and those that it adds; any other label would be rendered as empty text."""
    named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["description"])) - alert["labels"].keys()
    expression = str(alert["expr"])
    kept = [set(labels) for labels, _ in aggregations(expression)]
    if not kept:
        known = vocabulary()
        read = [name for selector in selectors(expression) for name in selector.names(list(known))]
        kept = [set(TARGET_LABELS | known[name].labels) for name in read]
    assert all(named <= labels for labels in kept)


def test_only_symptoms_page() -> None:
    pages = {rule["alert"] for rule in alerts() if rule["labels"]["severity"] == "critical"}
    assert pages == {"ShopOrderPlacementErrors", "ShopOrderPlacementSlow", "ShopReadModelStale"}
