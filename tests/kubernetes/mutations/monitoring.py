"""Mistakes in what is monitored."""

from tests.kubernetes.checks import monitoring
from tests.kubernetes.mutations.mutation import PART, Mutation, remove, spec

MUTATIONS = (
    Mutation(
        "a rule that promtool did not test",
        monitoring.rules_are_those_of_promtool,
        lambda found: spec(found, "PrometheusRule", "shop-services")["groups"][0]["rules"][0].update(expr="up == 0"),
    ),
    Mutation(
        "a dashboard that is left out",
        monitoring.dashboards_are_those_of_grafana,
        lambda found: remove(found, "ConfigMap", "dashboard-shop-events"),
    ),
    Mutation(
        "processes that the rules do not find",
        monitoring.jobs_are_those_of_the_rules,
        lambda found: spec(found, "PodMonitor", "plumbline").update(jobLabel=PART),
    ),
)
