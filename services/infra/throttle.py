"""Shall a call be refused here, before a server that is overloaded refuses it? With a chance that follows its answers.

A server that says RESOURCE_EXHAUSTED still reads each call and answers it; where it refuses most of them, refusing is
all that it does. Each client therefore refuses a share of its own calls by itself: with twice as many requests as were
accepted lately, those beyond it. `max(0, (requests - 2 accepts) / (requests + 1))`, from Site Reliability Engineering
(Beyer et al. 2016), chapter 21. A fixed limit would be wrong as soon as the server's capacity changes.

No clock: the caller says what time it is.
"""

from collections.abc import Callable

from services.infra.sliding_counts import SlidingCounts

WINDOW_SECONDS = 10.0
BUCKETS = 10
# So many requests reach the server for each that it accepts: it must see some to say that it has room again.
OVERSHOOT = 2.0
# The formula alone climbs from nothing by half a window's share at a time: at 50 requests a second, of which none had
# been accepted for 10 s, it still refused 55 % of them 30 s after the server had healed.
MOST_REFUSED = 0.9


class Throttle:
    """What one client knows of one server. `draw` gives a number from 0 to 1."""

    def __init__(self, *, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._window = SlidingCounts(window_seconds=WINDOW_SECONDS, buckets=BUCKETS)

    def refuses(self, now: float) -> bool:
        """Decide on one call. What is not refused is to be told of with `answered` once it has ended."""
        if self._draw() >= self.chance(now):
            return False
        self._window.add(now, "requests")
        return True

    def answered(self, now: float, *, overloaded: bool) -> None:
        """Count a call that has ended. A business error is no overload.

        One that is still under way counts for nothing: else the first calls after a pause, of which none has been
        accepted yet, would keep each other away.
        """
        self._window.add(now, "requests", *["accepts"] * (not overloaded))

    def chance(self, now: float) -> float:
        """Return with which probability the next call is refused."""
        counted = self._window.total(now)
        requests, accepts = counted["requests"], counted["accepts"]
        return min(MOST_REFUSED, max(0.0, (requests - OVERSHOOT * accepts) / (requests + 1)))
