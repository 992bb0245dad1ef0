"""What does a campaign say at its end? A verdict, its figures, and whatever was found wrong."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Report:
    """What became of one campaign: `options` and `figures` hold plain values, `violations` sentences."""

    campaign: str
    options: dict[str, Any]
    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    verdict: dict[str, Any] = field(default_factory=dict)

    def expect(self, fact: object, otherwise: str) -> None:
        """Note a violation unless something is so."""
        if not fact:
            self.violations.append(otherwise)

    def as_document(self) -> dict[str, Any]:
        """Return it as it is written."""
        return {
            "campaign": self.campaign,
            **self.options,
            "holds": not self.violations,
            "violations": self.violations,
            "figures": self.figures,
            "verdict": self.verdict,
        }
