"""Report of a campaign: options, figures, and violations."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Report:
    """Result of one campaign.

    campaign: its name.
    options: how it was run, as plain values.
    figures: what was measured, as plain values.
    violations: a sentence for each.
    invariants: counts and violations of each invariant.
    """

    campaign: str
    options: dict[str, Any]
    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    invariants: dict[str, Any] = field(default_factory=dict)

    def expect(self, fact: object, otherwise: str) -> None:
        """Add a violation unless the fact holds."""
        if not fact:
            self.violations.append(otherwise)

    def as_document(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        return {
            "campaign": self.campaign,
            **self.options,
            "holds": not self.violations,
            "violations": self.violations,
            "figures": self.figures,
            "invariants": self.invariants,
        }
