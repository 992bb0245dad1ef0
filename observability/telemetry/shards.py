"""Telemetry of logical shards: a move that is not complete, and logical shards that no server accepts."""

from collections.abc import Sequence
from functools import partial

from observability.telemetry.telemetry import Telemetry

STATES = ("running", "interrupted")


class ShardTelemetry:
    """Telemetry of the logical shards on several servers of orders."""

    def __init__(self, telemetry: Telemetry, *, servers: int) -> None:
        self._ages = dict.fromkeys(STATES, 0.0)
        self._unavailable = [0] * servers
        metrics, context = telemetry.metrics, telemetry.context
        for state in STATES:
            metrics.shard_move_age.read_from(partial(self._age_seconds, state), context, state)
        for server in range(servers):
            metrics.shards_unavailable.read_from(partial(self._unavailable_of, server), context, str(server))

    def move(self, age_seconds: float, *, is_running: bool) -> None:
        """Record the move that is not complete, and whether a process makes it; without one its age is 0."""
        self._ages = {"running": age_seconds * is_running, "interrupted": age_seconds * (not is_running)}

    def unavailable(self, counts: Sequence[int]) -> None:
        """Record how many logical shards each server has by the map and rejects."""
        self._unavailable = list(counts)

    def _age_seconds(self, state: str) -> float:
        return self._ages[state]

    def _unavailable_of(self, server: int) -> float:
        return float(self._unavailable[server])
