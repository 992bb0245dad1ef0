"""Concurrency of a group of spans over time, and the waits to start that a concurrency limit explains."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import NamedTuple

from observability.analysis.conventions.operations import operation_of
from observability.analysis.trees import Node

# A short overlap is a hand-over and no concurrency: the next one starts just before its predecessor's span ends.
_HAND_OVER_SHARE = 0.02
# Least share of the waiting time in which concurrency must be at the limit. It is below 1, because there is a pause
# between the end of one and the start of the next. Without a limit the highest concurrency is rare, and a caller that
# pauses for another reason does so at any concurrency.
_LEAST_AT_LIMIT = 0.70
# Fewer waits may be chance.
_FEWEST_WAITS = 20
# A start that takes the place of an ended member follows it within this share of a usual member's time. So many times
# more of them than chance would bring show a limit, even where most of the members were not recorded.
_AT_ONCE_SHARE = 0.02
_TIMES_CHANCE = 3.0
# Fewest starts below the limit from which the usual time of a start without a wait is estimated.
_FEWEST_FREE = 5


class Start(NamedTuple):
    """One member of a group, in nanoseconds since the Unix epoch.

    A tuple, since there are several for each span.

    parent: the span that started it.
    top: its own span, the first one where it consists of several.
    request: index of its request; -1 for other traces.
    ready: when nothing else was left that its parent did before it.
    start, end: when it ran.
    siblings: number of members that the parent started at once, 1 when they run one after the other.
    """

    parent: Node
    top: Node
    request: int
    ready: int
    start: int
    end: int
    siblings: int


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """A limit of concurrency, and what waits for it.

    most: members that run at once, never more.
    share_at_limit: of the waiting time, the share (0 to 1) in which so many ran.
    busy_share: of the time in which any ran, the share in which so many ran.
    floor: nanoseconds that a start takes without a wait.
    waits: members that waited.
    hand_overs: where that share is low, as in a sample of the traces: the members that started just when one of so many
        ended. Else 0.
    """

    most: int
    share_at_limit: float
    busy_share: float
    floor: int
    waits: tuple[Start, ...]
    hand_overs: int = 0


def limit_of(starts: Sequence[Start]) -> ConcurrencyLimit | None:
    """Return the limit that explains why members of a group wait to start; None where none does."""
    gaps = sum(each.start > each.ready for each in starts)
    if gaps < _FEWEST_WAITS:
        return None
    running = _Concurrency((each.start, each.end) for each in starts)
    most = running.highest()
    reached = running.at_least(most)
    floor = _floor(starts, reached)
    waits = [
        (each, each.start - each.ready - floor, reached.within(each.ready + floor, each.start))
        for each in starts
        if each.start - each.ready > floor
    ]
    waited = sum(took for _, took, _ in waits)
    at_limit = sum(at_limit for _, _, at_limit in waits)
    held_up = [each for each, took, at_limit in waits if 2 * at_limit > took]
    if len(held_up) < _FEWEST_WAITS or at_limit < _LEAST_AT_LIMIT * waited:
        return _limit_by_hand_over(starts, most, running, reached)
    return ConcurrencyLimit(most, at_limit / waited, reached.total / running.busy, floor, tuple(held_up))


def _limit_by_hand_over(
    starts: Sequence[Start], most: int, running: "_Concurrency", reached: "_Spells"
) -> ConcurrencyLimit | None:
    """Return the limit of members that their parents start at once; None where it does not show in when they start.

    In a sample of the traces, requests that were not recorded hold most of the places. The members of one parent are
    recorded together, though: those beyond the limit start just when one of them ends.
    """
    floor = min(each.start - each.ready for each in starts)
    if most == 1 or not any(each.siblings > 1 for each in starts):
        return None
    soon = _AT_ONCE_SHARE * median(each.end - each.start for each in starts)
    starters = {operation_of(each.parent.span) for each in starts if each.siblings > 1}
    waits = [
        each for each in starts if each.start - each.ready > floor + soon and operation_of(each.parent.span) in starters
    ]
    replacing = sum(reached.end_within(each.start - soon, each.start) for each in waits)
    by_chance = len(waits) * reached.count * soon / running.busy
    if replacing < max(_FEWEST_WAITS, _TIMES_CHANCE * by_chance):
        return None
    waited = sum(each.start - each.ready - floor for each in waits)
    at_limit = sum(reached.within(each.ready + floor, each.start) for each in waits)
    return ConcurrencyLimit(most, at_limit / waited, reached.total / running.busy, floor, tuple(waits), replacing)


def _floor(starts: Sequence[Start], reached: "_Spells") -> int:
    """Return how long a start takes without a wait: the median of those below the limit, or else the shortest."""
    free = [each.start - each.ready for each in starts if not reached.within(each.ready, each.start)]
    return round(median(free)) if len(free) >= _FEWEST_FREE else min(each.start - each.ready for each in starts)


class _Concurrency:
    """The number of intervals that contain each moment."""

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        changes: list[tuple[int, int]] = []
        for start, end in intervals:
            if start < end:
                changes += ((start, 1), (end, -1))
        # An end comes before a start at the same time.
        changes.sort()
        self._times = [time for time, _ in changes]
        self._levels = list(accumulate(change for _, change in changes))
        self._nanoseconds_at = self._by_level()
        self.busy = max(1, sum(self._nanoseconds_at[1:]))

    def highest(self) -> int:
        """Return the highest concurrency, except one that is only reached during hand-overs."""
        above = self.busy
        for level in range(1, len(self._nanoseconds_at)):
            at_least, above = above, above - self._nanoseconds_at[level]
            if above <= _HAND_OVER_SHARE * at_least:
                return level
        return 1

    def at_least(self, level: int) -> "_Spells":
        """Return the times at which so many intervals or more ran."""
        spells = []
        began: int | None = None
        for time, now in zip(self._times, self._levels, strict=True):
            if now >= level and began is None:
                began = time
            elif now < level and began is not None:
                spells.append((began, time))
                began = None
        return _Spells(spells)

    def _by_level(self) -> list[int]:
        spent = [0] * (max(self._levels, default=0) + 1)
        for level, time, following in zip(self._levels, self._times, self._times[1:], strict=False):
            spent[level] += following - time
        return spent


class _Spells:
    """Disjoint intervals in order of time."""

    def __init__(self, spells: Sequence[tuple[int, int]]) -> None:
        self._starts = [start for start, _ in spells]
        self._ends = [end for _, end in spells]
        self._before = list(accumulate((end - start for start, end in spells), initial=0))

    @property
    def total(self) -> int:
        """The sum of all lengths."""
        return self._before[-1]

    @property
    def count(self) -> int:
        """The number of intervals."""
        return len(self._ends)

    def end_within(self, start: float, end: float) -> bool:
        """Return whether an interval ends between two moments."""
        return bisect_left(self._ends, start) < bisect_right(self._ends, end)

    def within(self, start: int, end: int) -> int:
        """Return the time between two moments that lies in the intervals."""
        return max(0, self._until(end) - self._until(start))

    def _until(self, time: int) -> int:
        number = bisect_right(self._starts, time)
        if not number:
            return 0
        return self._before[number] - max(0, self._ends[number - 1] - time)
