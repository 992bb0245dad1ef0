"""Prometheus series that dashboards may query: our own, and those of recording rules and of other programs."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from observability.telemetry.instruments import Counter, Gauge, Histogram
from observability.telemetry.metrics import Metrics
from tests.rules.rules import committed_rules

RULES = Path(__file__).parents[2] / "observability" / "prometheus"
QUERIES = Path(__file__).parents[2] / "grafana" / "postgres_exporter" / "queries.yml"
# What Prometheus adds to every series that it scrapes.
TARGET_LABELS = frozenset({"job", "instance"})


@dataclass(frozen=True, slots=True)
class Series:
    """A series that Prometheus knows.

    name: name of the series, with its suffix
    grows: whether it is a counter
    labels: names of its labels
    metric: name of the metric in the catalogue
    """

    name: str
    grows: bool
    labels: frozenset[str]
    metric: str


# Series that are not ours, each with the labels that panels may use.
FOREIGN = {
    "up": "",
    "ALERTS": "alertname alertstate severity context",
    "process_cpu_seconds_total": "",
    "process_resident_memory_bytes": "",
    "process_open_fds": "",
    "process_max_fds": "",
    "process_start_time_seconds": "",
    "traces_service_graph_request_total": "client server",
    "otelcol_receiver_accepted_spans_total": "receiver transport",
    "otelcol_receiver_refused_spans_total": "receiver transport",
    "otelcol_processor_memory_limiter_refused_spans_total": "processor",
    "otelcol_exporter_sent_spans_total": "exporter",
    "otelcol_exporter_send_failed_spans_total": "exporter",
    "otelcol_exporter_enqueue_failed_spans_total": "exporter",
    "prometheus_rule_evaluation_failures_total": "rule_group",
    "prometheus_notifications_errors_total": "alertmanager",
    "prometheus_notifications_sent_total": "alertmanager",
    "alertmanager_notifications_failed_total": "integration",
}


def catalogue() -> dict[str, Series]:
    """Return the series of our own metrics by their names on the wire."""
    found = {}
    for instrument in vars(Metrics(registry=CollectorRegistry())).values():
        match instrument:
            case Histogram():
                found.update(_series(instrument._histogram, "_bucket", "_sum", "_count"))
            case Counter():
                found.update(_series(instrument._counter, "_total"))
            case Gauge():
                found.update(_series(instrument._gauge, ""))
    return found


def foreign() -> dict[str, Series]:
    """Return the series of others: those listed, and those that postgres_exporter makes of our queries."""
    listed = {
        name: Series(name, name.endswith("_total"), frozenset(text.split()), "") for name, text in FOREIGN.items()
    }
    for namespace, query in yaml.safe_load(QUERIES.read_text()).items():
        columns = {name: usage["usage"] for column in query["metrics"] for name, usage in column.items()}
        labels = frozenset(name for name, usage in columns.items() if usage == "LABEL")
        for column, usage in columns.items():
            if usage != "LABEL":
                name = f"{namespace}_{column}"
                listed[name] = Series(name, usage == "COUNTER", labels, "")
    return listed


def rules() -> list[dict[str, str]]:
    """Return every rule of the committed rule files."""
    return list(committed_rules())


def recorded() -> dict[str, Series]:
    """Return the series that recording rules make; ours are all shares and rates, without labels."""
    names = [rule["record"] for rule in rules() if "record" in rule]
    return {name: Series(name, False, frozenset(), "") for name in names}


def vocabulary() -> dict[str, Series]:
    """Return all series that a panel may ask for."""
    return {**foreign(), **recorded(), **catalogue()}


def _series(metric: MetricWrapperBase, *suffixes: str) -> dict[str, Series]:
    labels = frozenset(metric._labelnames)
    made = [
        Series(metric._name + suffix, suffix != "", labels | {"le"} if suffix == "_bucket" else labels, metric._name)
        for suffix in suffixes
    ]
    return {series.name: series for series in made}
