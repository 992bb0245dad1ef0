"""Telemetry of read replicas: their lag, and which server answered each read."""

from collections.abc import Callable
from dataclasses import dataclass

from observability.telemetry.telemetry import Telemetry

TARGETS = ("replica", "primary", "rejected")
REASONS = ("behind", "missing", "conflict", "unavailable")


@dataclass(frozen=True, slots=True)
class ReplicaTelemetry:
    """Telemetry of the replicas of one database, `database`."""

    telemetry: Telemetry
    database: str

    def __post_init__(self) -> None:
        metrics, labels = self.telemetry.metrics, (self.telemetry.context, self.database)
        metrics.replica_conflicts.add(0, *labels)
        for target in TARGETS:
            metrics.replica_reads.add(0, *labels, target)
        for reason in REASONS:
            metrics.replica_fallbacks.add(0, *labels, reason)

    def read(self, target: str) -> None:
        """Count a read by where it was answered: replica, primary, or rejected."""
        self.telemetry.metrics.replica_reads.add(1, self.telemetry.context, self.database, target)

    def fell_back(self, reason: str) -> None:
        """Count a read that went to the primary, by why no replica could answer it."""
        self.telemetry.metrics.replica_fallbacks.add(1, self.telemetry.context, self.database, reason)

    def conflicted(self) -> None:
        """Count a read that a replica cancelled in favour of its replay."""
        self.telemetry.metrics.replica_conflicts.add(1, self.telemetry.context, self.database)

    def waited(self, seconds: float) -> None:
        """Record how long a read waited for a replica to get a change."""
        self.telemetry.metrics.replica_wait.observe(seconds, self.telemetry.context, self.database)

    def watch(
        self,
        pool: str,
        *,
        up: Callable[[], float],
        lag_bytes: Callable[[], float],
        lag_seconds: Callable[[], float],
    ) -> None:
        """Publish the state of a replica, named by its pool, read at each scrape."""
        metrics, labels = self.telemetry.metrics, (self.telemetry.context, pool)
        metrics.replica_up.read_from(up, *labels)
        metrics.replica_lag_bytes.read_from(lag_bytes, *labels)
        metrics.replica_lag_seconds.read_from(lag_seconds, *labels)
