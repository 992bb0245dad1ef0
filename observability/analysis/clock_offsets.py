"""Clock offsets between services, estimated from all calls between two of them.

A callee on a skewed clock looks as if it ran before or after its caller. One offset, or a few where a service runs on
several hosts, must then bring all such calls into their callers. Where none does, the callee ran at another time.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from observability.analysis.span_status import gave_up
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node

_NANOSECONDS = 1e9
# If so many calls agree on an offset, it is that of all; the rest overran their callers.
_AGREE = 0.90
# Else a service has several clocks: each is that of at least so many calls, and of this share of them.
_FEWEST_ON_A_CLOCK = 3
_LEAST_ON_A_CLOCK = 0.10
_MOST_CLOCKS = 20
# With one or two calls there is nothing to compare: what may be an offset is one.
_TOO_FEW_TO_COMPARE = 2
# A callee more than an hour after its caller is not a wrong clock but delayed work.
_MOST_OFFSET = 3_600 * 10**9
# Without client spans, what runs after its caller may be asynchronous. A clock is off only if the time between is the
# same in so many calls, and so many times as long as a caller.
_FEWEST_LATER = 10
_TIMES_A_CALLER = 10

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ClockOffsets:
    """Shifts from the clock of a callee to that of its caller, in nanoseconds, by both services; the usual one first.

    reasons: a sentence about each pair of services.
    """

    shifts: dict[Pair, tuple[int, ...]] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    def shift_of(self, caller: Span, callee: Span) -> int:
        """Return the shift of a callee: the first that brings it into its caller, else the usual one."""
        shifts = self.shifts.get((caller.service, callee.service))
        if shifts is None:
            return 0
        bounds = _bounds(caller, callee)
        return next((shift for shift in shifts if bounds and bounds[0] <= shift <= bounds[1]), shifts[0])


def clock_offsets_of(roots: Iterable[Node]) -> ClockOffsets:
    """Estimate the offsets of all services' clocks from whole trees."""
    roots = tuple(roots)
    suspects = {
        (pair, synchronous)
        for (pair, synchronous), edges in _counted(roots).items()
        if edges.within < _AGREE * edges.total
    }
    calls: dict[tuple[Pair, bool], list[_Call]] = defaultdict(list)
    for caller, callee in _edges(roots) if suspects else ():
        key = (caller.service, callee.service), _is_synchronous(caller, callee)
        if key in suspects and (bounds := _bounds(caller, callee)):
            calls[key].append(_Call(*bounds, caller.duration_nanoseconds, caller.trace_id))
    shifts: dict[Pair, tuple[int, ...]] = {}
    reasons = []
    for (pair, synchronous), group in sorted(calls.items()):
        found = _shifts(group) if synchronous or _is_no_later_work(group) else ()
        if any(found):
            shifts[pair] = found
            reasons.append(_sentence(pair, found, group))
    return ClockOffsets(shifts, tuple(reasons))


@dataclass(frozen=True, slots=True)
class _Call:
    """The shifts that bring a callee into its caller, from `low` to `high`, and the caller's duration."""

    low: int
    high: int
    caller_nanoseconds: int
    trace_id: str

    def allows(self, shift: int) -> bool:
        return self.low <= shift <= self.high


@dataclass(slots=True)
class _Edges:
    total: int = 0
    within: int = 0


def _counted(roots: Iterable[Node]) -> dict[tuple[Pair, bool], _Edges]:
    """Count calls, and those that need no shift, by caller's and callee's service; prefer synchronous calls."""
    counts: dict[tuple[Pair, bool], _Edges] = defaultdict(_Edges)
    for caller, callee in _edges(roots):
        edges = counts[(caller.service, callee.service), _is_synchronous(caller, callee)]
        if _is_within(caller, callee):
            edges.total += 1
            edges.within += 1
        elif bounds := _bounds(caller, callee):
            edges.total += 1
            edges.within += bounds[0] <= 0 <= bounds[1]
    return {(pair, kind): edges for (pair, kind), edges in counts.items() if kind or (pair, True) not in counts}


def _edges(roots: Iterable[Node]) -> Iterator[tuple[Span, Span]]:
    """Yield the pairs of a caller and a callee of another service; not those that only receive a message."""
    for root in roots:
        for node in root.walk():
            caller = node.span
            for child in node.children:
                callee = child.span
                if callee.service != caller.service and callee.kind is not SpanKind.CONSUMER:
                    yield caller, callee


def _is_synchronous(caller: Span, callee: Span) -> bool:
    return caller.kind is SpanKind.CLIENT and callee.kind is SpanKind.SERVER


def _is_within(caller: Span, callee: Span) -> bool:
    return caller.start_nanoseconds <= callee.start_nanoseconds and callee.end_nanoseconds <= caller.end_nanoseconds


def _bounds(caller: Span, callee: Span) -> tuple[int, int] | None:
    """Return the least and the largest shift that brings a callee into its caller; None where none does.

    A caller that gave up did not wait for the end.
    """
    low = caller.start_nanoseconds - callee.start_nanoseconds
    high = low + caller.duration_nanoseconds
    high -= 1 if gave_up(caller) else callee.duration_nanoseconds
    return (low, high) if low <= high and low <= _MOST_OFFSET and high >= -_MOST_OFFSET else None


def _is_no_later_work(calls: Sequence[_Call]) -> bool:
    """Return whether callees without client spans are on another clock, and no work that is done later.

    Nothing begins before its caller does. What begins later must be later by the same time in all calls.
    """
    shifts = _shifts(calls)
    if len(shifts) != 1:
        return False
    usual = median(call.caller_nanoseconds for call in calls)
    return shifts[0] > 0 or (len(calls) >= _FEWEST_LATER and -shifts[0] >= _TIMES_A_CALLER * usual)


def _shifts(calls: Sequence[_Call]) -> tuple[int, ...]:
    """Return the shifts that explain the calls, the usual one first; (0,) where the clocks agree."""
    if sum(call.allows(0) for call in calls) >= _AGREE * len(calls):
        return (0,)
    best = _shift_of_most(calls)
    if sum(call.allows(best) for call in calls) >= _AGREE * len(calls):
        return (best,)
    fewest = 1 if len(calls) <= _TOO_FEW_TO_COMPARE else max(_FEWEST_ON_A_CLOCK, _LEAST_ON_A_CLOCK * len(calls))
    shifts = [0]
    left = [call for call in calls if not call.allows(0)]
    while left and len(shifts) < _MOST_CLOCKS:
        best = _shift_of_most(left)
        others = [call for call in left if not call.allows(best)]
        if len(left) - len(others) < fewest:
            break
        shifts.append(best)
        left = others
    return tuple(shifts)


def _shift_of_most(calls: Sequence[_Call]) -> int:
    """Return the middle of the shifts that most calls allow."""
    edges = sorted([(call.low, 0) for call in calls] + [(call.high, 1) for call in calls])
    most = open_calls = low = high = 0
    for position, (shift, ends) in enumerate(edges):
        if ends:
            open_calls -= 1
            continue
        open_calls += 1
        if open_calls > most:
            most, low = open_calls, shift
            high = edges[position + 1][0] if edges[position + 1][1] else shift
    return (low + high) // 2


def _sentence(pair: Pair, shifts: Sequence[int], calls: Sequence[_Call]) -> str:
    caller, callee = pair
    moved = [shift for shift in shifts if shift]
    traces = len({call.trace_id for call in calls})
    of = len({call.trace_id for call in calls if any(map(call.allows, moved))})
    offsets = sorted(-shift / _NANOSECONDS for shift in moved)
    by = f"{offsets[0]:+.3g} s" + (f" to {offsets[-1]:+.3g} s" if len(offsets) > 1 else "")
    return f"the clock of {callee} is off by {by} from that of {caller}: its spans are moved in {of} of {traces} traces"
