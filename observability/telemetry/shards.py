"""Metrics of logical shards: the age of an incomplete move, and the number of logical shards that no server accepts."""

from collections.abc import Sequence
from functools import partial

from observability.telemetry.telemetry import Telemetry

STATES = ("running", "interrupted")


class ShardTelemetry:
    """Metrics of the logical shards on several order database servers."""

    def __init__(self, telemetry: Telemetry, *, servers: int) -> None:
        self._ages = dict.fromkeys(STATES, 0.0)
        self._unavailable = [0] * servers
        metrics, context = telemetry.metrics, telemetry.context
        for state in STATES:
            metrics.shard_move_age.read_from(partial(self._age_seconds, state), context, state)
        for server in range(servers):
            metrics.shards_unavailable.read_from(partial(self._unavailable_of, server), context, str(server))

    def move(self, age_seconds: float, *, is_running: bool) -> None:
        """Record the age of the incomplete move, and whether a process is running it; without a move the age is 0."""
        self._ages = {"running": age_seconds * is_running, "interrupted": age_seconds * (not is_running)}

    def unavailable(self, counts: Sequence[int]) -> None:
        """Record for each server how many of the logical shards that the map assigns to it are fenced there."""
        self._unavailable = list(counts)

    def _age_seconds(self, state: str) -> float:
        return self._ages[state]

    def _unavailable_of(self, server: int) -> float:
        return float(self._unavailable[server])
