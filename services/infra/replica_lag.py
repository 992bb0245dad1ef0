"""Lag of replicas in bytes and seconds, from samples of the primary's write-ahead log; no clock of a server is used.

No clock: the caller passes the time.
"""

from bisect import bisect_right
from collections import deque

# Ten minutes of samples; a longer lag is given as that long.
MOST_SAMPLES = 1_200


class WalHistory:
    """Positions of the primary's log, in bytes, by the time they were seen."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MOST_SAMPLES)
        self._positions: deque[int] = deque(maxlen=MOST_SAMPLES)

    def add(self, now: float, position: int) -> None:
        """Record the position. A smaller one is that of another primary, so what was seen before is dropped."""
        if self._positions and position < self._positions[-1]:
            self._times.clear()
            self._positions.clear()
        if not self._positions or position > self._positions[-1]:
            self._times.append(now)
            self._positions.append(position)

    def lag_bytes(self, position: int) -> int:
        """Return how far a replica that has replayed up to `position` is behind the last sample."""
        return max(0, self._positions[-1] - position) if self._positions else 0

    def lag_seconds(self, now: float, position: int) -> float:
        """Return the seconds since the primary was first seen beyond `position`; 0 if it never was."""
        index = bisect_right(self._positions, position)
        return now - self._times[index] if index < len(self._times) else 0.0
