"""Prometheus rule files: the rule groups of each file, with shorter durations for an alert drill."""

import json
from collections.abc import Callable
from pathlib import Path

from observability.prometheus.build.call_rules import call_groups
from observability.prometheus.build.event_rules import event_groups
from observability.prometheus.build.meta_rules import meta_groups
from observability.prometheus.build.model import RUNBOOKS, Document, RuleGroup
from observability.prometheus.build.pace import Pace
from observability.prometheus.build.replica_rules import replica_groups
from observability.prometheus.build.saturation_rules import saturation_groups
from observability.prometheus.build.service_rules import service_groups
from observability.prometheus.build.shard_rules import shard_groups
from observability.prometheus.build.slo_rules import slo_groups
from observability.prometheus.build.telemetry_rules import telemetry_groups

REPOSITORY = Path(__file__).parents[3]
FILES: dict[str, Callable[[Pace], list[RuleGroup]]] = {
    "slo": slo_groups,
    "services": service_groups,
    "saturation": saturation_groups,
    "calls": call_groups,
    "replicas": replica_groups,
    "shards": shard_groups,
    "events": event_groups,
    "telemetry": telemetry_groups,
    "meta": meta_groups,
}


def rule_documents(*, scale: int = 1) -> dict[str, Document]:
    """Return every rule file by its name, NAME.rules.yml."""
    pace = Pace(scale)
    return {
        f"{name}.rules.yml": {"groups": [group.document(pace) for group in groups(pace)]}
        for name, groups in FILES.items()
    }


def write_rule_files(directory: Path, *, scale: int = 1) -> None:
    """Write the rule files as JSON, which is valid YAML, so that callers need no YAML library.

    runbook_url is the file on this machine, which a browser opens.
    """
    directory.mkdir(parents=True, exist_ok=True)
    runbooks = (REPOSITORY / RUNBOOKS).as_uri()
    for name, document in rule_documents(scale=scale).items():
        text = json.dumps(document, indent=1)
        (directory / name).write_text(text.replace(f'"runbook_url": "{RUNBOOKS}/', f'"runbook_url": "{runbooks}/'))
