"""Event counts in a sliding time window, which moves one bucket at a time.

No clock: the caller passes the time.
"""

from collections import Counter, deque


class SlidingCounts:
    """Counts by name over the last `window_seconds`, in `buckets` parts."""

    def __init__(self, *, window_seconds: float, buckets: int) -> None:
        self._bucket_seconds = window_seconds / buckets
        self._buckets: deque[tuple[int, Counter[str]]] = deque(maxlen=buckets)

    def add(self, now: float, *names: str) -> None:
        """Add one to the count of each name."""
        number = self._number(now)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, Counter()))
        self._buckets[-1][1].update(names)

    def total(self, now: float) -> Counter[str]:
        """Return the counts in the window."""
        oldest = self._number(now) - (self._buckets.maxlen or 0)
        return sum((counts for number, counts in self._buckets if number > oldest), Counter())

    def clear(self) -> None:
        """Reset all counts."""
        self._buckets.clear()

    def _number(self, now: float) -> int:
        return int(now / self._bucket_seconds)
