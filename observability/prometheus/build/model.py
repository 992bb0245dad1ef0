"""Recordings, alerts and groups as data, and their translation into rule files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from observability.prometheus.build.pace import Pace
from observability.prometheus.build.panels import PANELS

Severity = Literal["critical", "warning", "info"]
Document = dict[str, object]

# Relative to the root of the repository: a published copy puts its address in front.
RUNBOOKS = "observability/runbooks"


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that is computed ahead; `record` is level:metric:operations."""

    record: str
    expression: str

    def document(self, _pace: Pace) -> Document:
        """Return the rule as Prometheus reads it."""
        return {"record": self.record, "expr": self.expression}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alerting rule.

    name: Shop<Component><Condition>
    expression: PromQL; the alert fires for each series that it returns
    summary: one static sentence
    description: template with the labels and the value
    severity: critical pages, warning opens a ticket
    affects: what customers notice; a page mutes warnings with the same value, never those with None
    for_seconds: how long the condition must hold
    keep_seconds: how long the alert keeps firing after the condition ends
    labels: further labels
    """

    name: str
    expression: str
    summary: str
    description: str
    severity: Severity = "warning"
    affects: str | None = None
    for_seconds: int = 0
    keep_seconds: int = 0
    labels: dict[str, str] = field(default_factory=dict)

    def document(self, pace: Pace) -> Document:
        """Return the rule as Prometheus reads it."""
        uid, panel_id = PANELS[self.name]
        rule: Document = {"alert": self.name, "expr": self.expression}
        if self.for_seconds:
            rule["for"] = pace(self.for_seconds)
        if self.keep_seconds:
            rule["keep_firing_for"] = pace(self.keep_seconds)
        affects = {"affects": self.affects} if self.affects else {}
        rule["labels"] = {"severity": self.severity, **affects, **self.labels}
        rule["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{RUNBOOKS}/{self.name}.md",
            "dashboard_url": f"/d/{uid}?viewPanel={panel_id}",
        }
        return rule


Rule = Recording | Alert


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated in order, every `interval_seconds`, or at the global interval when that is None."""

    name: str
    rules: Sequence[Rule]
    interval_seconds: int | None = None

    def document(self, pace: Pace) -> Document:
        """Return the group as Prometheus reads it."""
        interval = {} if self.interval_seconds is None else {"interval": pace(self.interval_seconds)}
        return {"name": self.name, **interval, "rules": [rule.document(pace) for rule in self.rules]}
