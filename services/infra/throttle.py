"""Client-side throttling: rejects a share of the calls to an overloaded server before they are sent.

A server that answers RESOURCE_EXHAUSTED still reads and answers each call; when it rejects most of them, rejecting
takes all its time. So each client rejects calls by itself once it sends more than twice as many as were accepted
lately, with probability `max(0, (requests - 2 accepts) / (requests + 1))`, from Site Reliability Engineering (Beyer et
al. 2016), chapter 21. A fixed limit would be wrong as soon as the server's capacity changes.

No clock: the caller passes the time.
"""

from collections.abc import Callable

from services.infra.sliding_counts import SlidingCounts

WINDOW_SECONDS = 10.0
BUCKETS = 10
# Requests sent for each one accepted: the server must see some more, to show that it has capacity again.
OVERSHOOT = 2.0
# The formula alone recovers slowly: at 50 requests a second, of which none had been accepted for 10 s, it still
# rejected 55 % of them 30 s after the server had recovered.
MOST_REJECTED = 0.9


class Throttle:
    """Throttle of one client for one server. `draw` returns a random number from 0 to 1."""

    def __init__(self, *, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._window = SlidingCounts(window_seconds=WINDOW_SECONDS, buckets=BUCKETS)

    def rejects(self, now: float) -> bool:
        """Decide whether to reject one call. A call that is not rejected must be recorded with `answered`."""
        if self._draw() >= self.rejection_probability(now):
            return False
        self._window.add(now, "requests")
        return True

    def answered(self, now: float, *, overloaded: bool) -> None:
        """Record a call that has ended. A business error is no overload.

        Calls in flight are not counted: otherwise the first calls after a pause, none of which has been accepted yet,
        would cause each other's rejection.
        """
        self._window.add(now, "requests", *["accepts"] * (not overloaded))

    def rejection_probability(self, now: float) -> float:
        """Return the probability with which the next call is rejected."""
        counted = self._window.total(now)
        requests, accepts = counted["requests"], counted["accepts"]
        return min(MOST_REJECTED, max(0.0, (requests - OVERSHOOT * accepts) / (requests + 1)))
