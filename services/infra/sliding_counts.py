"""How often did what happen lately? Counts of a window that slides with the time, a bucket at a time.

No clock: the caller says what time it is.
"""

from collections import Counter, deque


class SlidingCounts:
    """Counts by name; what is older than the window is forgotten, a bucket of it at once."""

    def __init__(self, *, window_seconds: float, buckets: int) -> None:
        self._bucket_seconds = window_seconds / buckets
        self._buckets: deque[tuple[int, Counter[str]]] = deque(maxlen=buckets)

    def add(self, now: float, *names: str) -> None:
        """Count one of each name."""
        number = self._number(now)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, Counter()))
        self._buckets[-1][1].update(names)

    def total(self, now: float) -> Counter[str]:
        """Return how many of each name the window holds."""
        oldest = self._number(now) - (self._buckets.maxlen or 0)
        return sum((counts for number, counts in self._buckets if number > oldest), Counter())

    def clear(self) -> None:
        """Forget all."""
        self._buckets.clear()

    def _number(self, now: float) -> int:
        return int(now / self._bucket_seconds)
