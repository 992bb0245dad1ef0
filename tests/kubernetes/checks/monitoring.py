"""Checks that a cluster has the same rules, dashboards and job labels as the other platforms."""

import json
import re
from collections.abc import Iterator

import yaml

from observability.prometheus.build.configuration import INTERVAL_SECONDS, TIMEOUT_SECONDS
from tests.kubernetes.checks.references import labels_of
from tests.kubernetes.checks.settings import KINDS
from tests.kubernetes.manifests import ROOT, Manifests

RULES = ROOT / "observability/prometheus"
DASHBOARDS = ROOT / "grafana/dashboards"


def rules_are_those_of_promtool(manifests: Manifests) -> Iterator[str]:
    """Compare each PrometheusRule with its rule file."""
    if not manifests.of("PodMonitor"):
        return
    groups = {
        f"shop-{path.name.removesuffix('.rules.yml')}": yaml.load(path.read_text(), yaml.CSafeLoader)["groups"]
        for path in RULES.glob("*.rules.yml")
    }
    found = {each["metadata"]["name"]: each["spec"]["groups"] for each in manifests.of("PrometheusRule")}
    for name in sorted(groups.keys() | found.keys()):
        if groups.get(name) != found.get(name):
            yield f"PrometheusRule {name} differs from its rule file"


def dashboards_are_those_of_grafana(manifests: Manifests) -> Iterator[str]:
    """Check that each file is in a ConfigMap that Grafana's sidecar finds."""
    if not manifests.of("PodMonitor"):
        return
    files = {path.name: json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")}
    found = {
        name: json.loads(text)
        for each in manifests.of("ConfigMap")
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for name, text in each["data"].items()
    }
    for name in sorted(files.keys() | found.keys()):
        if files.get(name) != found.get(name):
            yield f"dashboard {name} differs from its file in grafana/dashboards"


def jobs_are_those_of_the_rules(manifests: Manifests) -> Iterator[str]:
    """Check the label `job`, by which rules select processes, and the scrape interval that they assume."""
    for monitor in manifests.of("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            jobs = {
                workload.labels.get(monitor["spec"]["jobLabel"])
                for workload in manifests.selected(labels_of(monitor))
                if workload.has_port(endpoint["port"])
            }
            named = {
                job
                for path in RULES.glob("services.rules.yml")
                for found in re.findall(r'job=~"([a-z|]+)"', path.read_text())
                for job in found.split("|")
            } - {"monolith"}
            if not jobs == named == set(KINDS):
                yield f"jobs are {jobs}, and the rules name {named}"
            if (endpoint["interval"], endpoint["scrapeTimeout"]) != (f"{INTERVAL_SECONDS}s", f"{TIMEOUT_SECONDS}s"):
                yield f"scraped each {endpoint['interval']}, and not each {INTERVAL_SECONDS} s"
