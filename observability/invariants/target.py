"""What is checked, and what is found?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.notification import bootstrap as notification
from services.order.consumers import order_summaries

# The consumers of the event log, by the database that they keep their effects in.
CONSUMERS = {"order_read": order_summaries.CONSUMER, "notification": notification.CONSUMER}
# Of one invariant's violations only so many are told; all are counted.
MOST_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyTarget:
    """A shop's databases by name (order, order_read, inventory, notification) and its event log.

    `quiet` says that nothing is in flight: then everything must have come to its end, beside what must hold always.
    `notifications_directory` has one file a confirmation, when they go to a folder.
    """

    databases: Mapping[str, str] = field(repr=False)
    event_log_url: str = field(repr=False)
    event_log_allow_unsafe_sync: bool = False
    notifications_directory: Path | None = None
    quiet: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: how many facts were looked at, how many break it, and the first of these.

    `skipped` says what was left out because it can only be asked of a quiet shop.
    """

    name: str
    sentence: str
    counted: int
    violations: tuple[str, ...]
    violation_count: int
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class InvariantVerdict:
    """All invariants, I1 to I8."""

    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was violated."""
        return not any(check.violation_count for check in self.checks)

    def sentences(self) -> list[str]:
        """Return every violation that is told, with its invariant."""
        return [f"{check.name}: {violation}" for check in self.checks for violation in check.violations]


class Tally:
    """What is known of one invariant so far."""

    def __init__(self, name: str, sentence: str) -> None:
        self._name = name
        self._sentence = sentence
        self._violations: list[str] = []
        self._violation_count = 0
        self._skipped: list[str] = []
        self.counted = 0

    def violated(self, sentence: str, *, times: int = 1) -> None:
        """Note a violation, or several in one sentence."""
        self._violation_count += times
        if len(self._violations) < MOST_TOLD:
            self._violations.append(sentence)

    def skipped(self, what: str) -> None:
        """Note what was left out."""
        self._skipped.append(what)

    def check(self) -> Check:
        """Return what was found."""
        violations, skipped = tuple(self._violations), "; ".join(self._skipped)
        return Check(self._name, self._sentence, self.counted, violations, self._violation_count, skipped)
