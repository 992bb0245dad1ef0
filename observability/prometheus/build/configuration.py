"""Configuration of Prometheus: targets, rule files and Alertmanager, for docker compose and for loopback."""

from collections.abc import Mapping
from pathlib import Path

from observability.prometheus.build.model import Document
from observability.prometheus.build.pace import Pace

INTERVAL_SECONDS = 5
LOCAL_INTERVAL_SECONDS = 1
# A scrape takes some 20 ms; one that takes a second is a service that does not answer.
TIMEOUT_SECONDS = 1
# A trace id a bucket and a series, kept until so many are newer.
MAX_EXEMPLARS = 100_000

# Host names of docker compose are the names of the jobs.
COMPOSE_TARGETS = {
    "order": "order:9464",
    "inventory": "inventory:9464",
    "notification": "notification:9464",
    "postgres": "postgres-exporter:9187",
    "otel-collector": "otel-collector:8888",
    "span-metrics": "otel-collector:8889",
    "prometheus": "prometheus:9090",
    "alertmanager": "alertmanager:9093",
    "jaeger": "jaeger:8888",
    "loki": "loki:3100",
    "grafana": "grafana:3000",
}
COMPOSE_ALERTMANAGER = "alertmanager:9093"
COMPOSE_RULES = "/etc/prometheus/*.rules.yml"


def compose_configuration() -> Document:
    """Return the configuration of docker compose."""
    interval = Pace()(INTERVAL_SECONDS)
    return configuration(COMPOSE_TARGETS, COMPOSE_ALERTMANAGER, COMPOSE_RULES, interval)


def local_configuration(
    targets: Mapping[str, str], alertmanager: str | None, rule_files_directory: Path, scale: int
) -> Document:
    """Return the configuration for a platform on loopback: host:port by job, and Alertmanager's, if there is one.

    The directory holds what `write_rule_files` wrote at the same scale. Time on loopback is short: it scrapes and
    evaluates each second, at full length every five.
    """
    interval = Pace()(LOCAL_INTERVAL_SECONDS if scale > 1 else INTERVAL_SECONDS)
    return configuration(targets, alertmanager, str(rule_files_directory / "*.rules.yml"), interval)


def configuration(targets: Mapping[str, str], alertmanager: str | None, rules: str, interval: str) -> Document:
    """Return a configuration that scrapes one target a job."""
    document: Document = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": Pace()(TIMEOUT_SECONDS),
            "evaluation_interval": interval,
        },
        "storage": {"exemplars": {"max_exemplars": MAX_EXEMPLARS}},
        "rule_files": [rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()
        ],
    }
    if alertmanager is not None:
        document["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return document
