"""Coverage of the PromQL expressions of dashboards and rules: which found data, and which a value other than 0."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from observability.prometheus.build.rule_files import rule_documents
from observability.testbed.monitoring import panels
from observability.testbed.monitoring.client import PrometheusClient

STEP_SECONDS = 1.0
RATE_INTERVAL = "5s"


@dataclass(slots=True)
class Expressions:
    """All expressions and their coverage.

    where: where each expression stands, by its text.
    with_data: those that found data.
    not_zero: those that found a value other than 0.
    """

    where: dict[str, str]
    with_data: set[str] = field(default_factory=set)
    not_zero: set[str] = field(default_factory=set)

    @classmethod
    def of_platform(cls, *, scale: int) -> "Expressions":
        """Return the expressions of the dashboards, and of the rules at this scale."""
        drawn = {each.text: str(each) for each in panels.expressions(RATE_INTERVAL)}
        return cls(drawn | dict(_of_rules(scale)))

    async def evaluate(self, prometheus: PrometheusClient, *, start: float, end: float) -> None:
        """Evaluate all expressions over a time, in seconds since 1970. Raises QueryFailed if one fails."""
        for text in self.where.keys() - self.not_zero:
            found = await prometheus.over(text, start=start, end=end, step_seconds=STEP_SECONDS)
            values = [value for series in found for value in series.values]
            if values:
                self.with_data.add(text)
            if any(value != 0 for value in values if isfinite(value)):
                self.not_zero.add(text)

    def as_document(self) -> dict[str, Any]:
        """Return the counts, and the expressions that found nothing."""
        return {
            "expressions": len(self.where),
            "with_data": len(self.with_data),
            "not_zero": len(self.not_zero),
            "without_data": self._named(self.where.keys() - self.with_data),
            "always_zero": self._named(self.with_data - self.not_zero),
        }

    def _named(self, texts: Iterable[str]) -> list[str]:
        return sorted(f"{self.where[text]}: {text}" for text in texts)


def _of_rules(scale: int) -> Iterable[tuple[str, str]]:
    for name, document in rule_documents(scale=scale).items():
        groups: Any = document["groups"]
        for rule in (rule for group in groups for rule in group["rules"]):
            yield rule["expr"], f"{name} {rule.get('alert') or rule['record']}"
