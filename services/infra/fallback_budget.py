"""Token bucket that limits how many reads fall back from replicas to the primary.

Without it a replica that lags or fails moves all its reads to the primary at once, which also has all the writes.

No clock: the caller passes the time.
"""

# Of the reads that replicas answer, this share may go to the primary beside them.
SHARE = 0.1
# Size of the bucket: the most reads that can fall back at once when a replica fails.
BURST = 50.0


class FallbackBudget:
    """Token bucket: each answer of a replica adds `SHARE`, each second adds `reserve_per_second`."""

    def __init__(self, *, reserve_per_second: float) -> None:
        self._reserve_per_second = reserve_per_second
        self._left = BURST
        self._updated: float | None = None

    def answered(self) -> None:
        """Record a read that a replica answered."""
        self._left = min(BURST, self._left + SHARE)

    def take(self, now: float) -> bool:
        """Return whether one read may go to the primary, and count it."""
        seconds = 0.0 if self._updated is None else now - self._updated
        self._updated = now
        self._left = min(BURST, self._left + seconds * self._reserve_per_second)
        if self._left < 1:
            return False
        self._left -= 1
        return True
