"""PrometheusRules for the operator of Prometheus: the groups of each rule file, unchanged."""

from collections.abc import Mapping

from observability.prometheus.build.model import Document
from observability.prometheus.build.rule_files import REPOSITORY

PROMETHEUS_RULES = REPOSITORY / "deploy/kubernetes/components/monitoring/prometheus-rules.yaml"


def prometheus_rules(rule_documents: Mapping[str, Document]) -> list[Document]:
    """Return a PrometheusRule for each rule file, NAME.rules.yml as shop-NAME."""
    return [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": f"shop-{name.removesuffix('.rules.yml')}",
                "labels": {"app.kubernetes.io/part-of": "plumbline"},
            },
            "spec": document,
        }
        for name, document in rule_documents.items()
    ]
