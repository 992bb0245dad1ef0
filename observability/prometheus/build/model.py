"""Values of rules, which become the rule files of Prometheus at any pace."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from observability.prometheus.build.pace import Pace
from observability.prometheus.build.panels import PANELS

Severity = Literal["critical", "warning", "info"]
Document = dict[str, object]

# From the root of the repository: whoever publishes it writes the address in front.
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
    """A condition that a person should know of.

    `affects` is what a customer would feel, by which a page mutes its causes; None is never muted so. It goes on
    firing for `keep_seconds` after the condition ends.
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
    """Rules that are evaluated one after the other; without `interval_seconds` as often as Prometheus does all."""

    name: str
    rules: Sequence[Rule]
    interval_seconds: int | None = None

    def document(self, pace: Pace) -> Document:
        """Return the group as Prometheus reads it."""
        interval = {} if self.interval_seconds is None else {"interval": pace(self.interval_seconds)}
        return {"name": self.name, **interval, "rules": [rule.document(pace) for rule in self.rules]}
