"""Rules of services that are down, and of contexts that no target serves."""

from observability.prometheus.build import thresholds
from observability.prometheus.build.model import Alert, RuleGroup
from observability.prometheus.build.pace import Pace

OUR_JOBS = "order|inventory|notification|monolith"
NOT_SCRAPED = "{{ $labels.job }} at {{ $labels.instance }} cannot be scraped: it is down or does not answer in time."
CONTEXTS = ("order", "inventory", "notification")


def service_groups(_pace: Pace) -> list[RuleGroup]:
    """Return the alerts on services down and absent. A page mutes neither: they say where to look."""
    down = Alert(
        name="ShopServiceDown",
        expression=f'up{{job=~"{OUR_JOBS}"}} == {thresholds.SERVICE_DOWN.text}',
        for_seconds=thresholds.SERVICE_DOWN.for_seconds,
        summary="A service does not answer on its admin port.",
        description=NOT_SCRAPED,
    )
    return [RuleGroup("services", [down, *map(absent, CONTEXTS)])]


def absent(context: str) -> Alert:
    """Return the alert for a context that no target serves: a target that was lost has no `up` to be 0."""
    return Alert(
        name=f"Shop{context.capitalize()}Absent",
        expression=f'absent(up{{job=~"{context}|monolith"}})',
        for_seconds=thresholds.SERVICE_ABSENT.for_seconds,
        labels={"context": context},
        summary=f"Prometheus has no target that serves the {context} context.",
        description=f"Neither a job {context} nor a job monolith is scraped, so that no alert on {context} can fire.",
    )
