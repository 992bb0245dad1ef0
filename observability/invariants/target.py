"""Data types of the invariant checks: what is checked, and the violations found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.local.platform.plan import order_databases
from services.notification import bootstrap as notification
from services.order.consumers import order_summaries

# The consumers of the event log, by the database of their effects.
CONSUMERS = {"order_read": order_summaries.CONSUMER, "notification": notification.CONSUMER}
# Violations listed for each invariant; all are counted.
MOST_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyTarget:
    """A shop to check.

    databases: DSNs of order, order_read, inventory and notification; order_1 and so on for further servers of orders.
    event_log_url, event_log_allow_unsafe_sync: as in the settings of the services.
    shard_event_log_urls: the event logs of the further servers of orders.
    notifications_directory: folder with one file for each confirmation; None if they are not written to a folder.
    quiet: whether nothing is in flight; then everything must be finished too.
    """

    databases: Mapping[str, str] = field(repr=False)
    event_log_url: str = field(repr=False)
    event_log_allow_unsafe_sync: bool = False
    shard_event_log_urls: Sequence[str] = field(default=(), repr=False)
    notifications_directory: Path | None = None
    quiet: bool = True

    @property
    def order_dsns(self) -> list[str]:
        """DSNs of all servers of orders."""
        return [self.databases[name] for name in order_databases(self.databases)]

    @property
    def event_log_urls(self) -> list[str]:
        """URLs of their event logs."""
        return [self.event_log_url, *self.shard_event_log_urls]


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one invariant.

    name: I1 to I8.
    sentence: the invariant in words.
    counted: rows checked.
    violations: a sentence for each of the first violations.
    violation_count: number of all violations.
    skipped: what was not checked since it needs a quiescent shop; "" if nothing.
    """

    name: str
    sentence: str
    counted: int
    violations: tuple[str, ...]
    violation_count: int
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class InvariantChecks:
    """All invariants, I1 to I8."""

    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether no invariant is violated."""
        return not any(check.violation_count for check in self.checks)

    def sentences(self) -> list[str]:
        """Return every listed violation, with its invariant."""
        return [f"{check.name}: {violation}" for check in self.checks for violation in check.violations]


class Tally:
    """Collects the violations of one invariant."""

    def __init__(self, name: str, sentence: str) -> None:
        self._name = name
        self._sentence = sentence
        self._violations: list[str] = []
        self._violation_count = 0
        self._skipped: list[str] = []
        self.counted = 0

    def violated(self, sentence: str, *, times: int = 1) -> None:
        """Add a violation, or several in one sentence."""
        self._violation_count += times
        if len(self._violations) < MOST_LISTED:
            self._violations.append(sentence)

    def skipped(self, what: str) -> None:
        """Add what was not checked."""
        self._skipped.append(what)

    def check(self) -> Check:
        """Return the result."""
        violations, skipped = tuple(self._violations), "; ".join(self._skipped)
        return Check(self._name, self._sentence, self.counted, violations, self._violation_count, skipped)
