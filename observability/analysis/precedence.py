"""Precedence: which of several bottlenecks is named first, a cause before its symptom."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.whatif import Prediction

# A resource is exhausted by something else, which is named instead if it was found.
_RESOURCES = frozenset({Bottleneck.POOL, Bottleneck.CPU_BOUND, Bottleneck.BLOCKING_CALL})
# The wait for one of these is longer, the longer it is held: by repeated statements, for example.
_LIMITS = frozenset({Bottleneck.SERIAL_RESOURCE, Bottleneck.CONCURRENCY_LIMIT})
# A call may be slow since it waits for one of these; then the rest of it may be slow as well.
_WAITS = _LIMITS | {Bottleneck.POOL, Bottleneck.HOT_ROW}
# Waiting for a saturated resource looks like one of these.
_SYMPTOMS_OF_OVERLOAD = (
    _RESOURCES
    | _LIMITS
    | {Bottleneck.NETWORK_LATENCY, Bottleneck.UNBOUNDED_WAIT, Bottleneck.SLOW_CALL, Bottleneck.CONSUMER_LAG}
)
# These lengthen what they touch, and so the time that a lock or a worker is held.
_NO_CAUSE_OF_A_LIMIT = _RESOURCES | _LIMITS | {Bottleneck.NETWORK_LATENCY, Bottleneck.UNBOUNDED_WAIT}
# Two waits of which this share is the same are one.
_SAME_WAIT = 0.5

Judged = tuple[Candidate, Prediction]


def choose(worth: Sequence[Judged]) -> Judged:
    """Return the candidate that explains most, or its cause, if that explains at least half as much.

    Overload outranks pools and network latency: they are only its symptoms. An unbounded wait has a cause as well: what
    makes the calls slow. That a call is slow for an unknown reason is none. A cold cache comes before a bottleneck in
    the read that a cache hit would make unnecessary.
    """
    first = next((each for each in worth if each[0].bottleneck is Bottleneck.OVERLOAD), worth[0])
    if first[0].bottleneck is Bottleneck.SLOW_CALL:
        first = next((each for each in worth if each[0].bottleneck is Bottleneck.UNBOUNDED_WAIT), first)
    first = next((each for each in worth if _removes_need_for(each[0], first[0])), first)
    return next((other for other in worth if other is not first and _is_cause_of(other[0], first[0])), first)


def without_explained(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates, without those that another one explains.

    Of two waits that are mostly the same, the larger is kept. A call that is slow for a known reason is dropped; of one
    that waits for a lock, a limit or a row, only the rest stays.
    """
    left: list[Candidate] = []
    for each in candidates:
        if each.bottleneck in _WAITS and any(_is_same_wait(each, other) for other in left):
            continue
        left.append(each)
    left = [each for each in left if not _goes_with(each, left)]
    rest = [
        _without_waits(each, _of_its_operation(each, left)) if each.bottleneck is Bottleneck.SLOW_CALL else each
        for each in left
        if each.bottleneck is not Bottleneck.SLOW_CALL
        or all(other.bottleneck in _WAITS for other in _of_its_operation(each, left))
    ]
    return sorted(rest, key=lambda each: -each.saving.total())


def _is_same_wait(each: Candidate, larger: Candidate) -> bool:
    if larger.bottleneck not in _WAITS or larger.service != each.service:
        return False
    return sum(map(min, each.saving.wait, larger.saving.wait)) >= _SAME_WAIT * each.saving.total()


def _goes_with(each: Candidate, candidates: Sequence[Candidate]) -> bool:
    """Return whether the fix of a larger candidate removes these calls, too: retries, or calls off the path."""
    others = {other.bottleneck for other in _of_its_operation(each, candidates) if _is_larger(other, each)}
    match each.bottleneck:
        case Bottleneck.RETRY_STORM:
            return bool(others & {Bottleneck.N_PLUS_ONE, Bottleneck.CHATTY_RPC})
        case Bottleneck.CHATTY_RPC:
            # The pauses between calls that wait for a lock or a worker are that wait.
            held_up = any(
                other.bottleneck in _LIMITS and 2 * other.saving.total() >= each.saving.total()
                for other in _of_its_operation(each, candidates)
            )
            return held_up or Bottleneck.SYNC_SIDE_EFFECT in others
        case _:
            return False


def _is_larger(other: Candidate, each: Candidate) -> bool:
    return other.saving.total() >= each.saving.total()


def _of_its_operation(each: Candidate, candidates: Sequence[Candidate]) -> list[Candidate]:
    return [other for other in candidates if other is not each and _is_same_operation(other, each)]


def _without_waits(slow: Candidate, waits: Iterable[Candidate]) -> Candidate:
    saved = list(slow.saving.wait)
    for wait in waits:
        saved = [max(0.0, left - waited) for left, waited in zip(saved, wait.saving.wait, strict=True)]
    return replace(slow, saving=replace(slow.saving, wait=tuple(saved)))


def _removes_need_for(other: Candidate, first: Candidate) -> bool:
    """Return whether a cache hit would make the operation of the first candidate unnecessary."""
    return other.bottleneck is Bottleneck.COLD_CACHE and _is_same_operation(first, other)


def _is_cause_of(other: Candidate, first: Candidate) -> bool:
    """Return whether `other` may cause `first` and explains at least half as much time."""
    match first.bottleneck:
        case Bottleneck.OVERLOAD:
            holds = other.bottleneck not in _SYMPTOMS_OF_OVERLOAD
        case Bottleneck.UNBOUNDED_WAIT:
            # That a call is slow for an unknown reason explains nothing.
            holds = other.bottleneck is not Bottleneck.SLOW_CALL
        case Bottleneck.NETWORK_LATENCY:
            # A request that waits for a worker of the callee has not begun there. Fewer calls take the way less often.
            holds = other.bottleneck in _LIMITS and other.service == first.operation
            holds = holds or (other.bottleneck is Bottleneck.CHATTY_RPC and other.service == first.service)
        case Bottleneck.SERIAL_RESOURCE | Bottleneck.CONCURRENCY_LIMIT:
            holds = other.bottleneck not in _NO_CAUSE_OF_A_LIMIT | {Bottleneck.SLOW_CALL}
            holds = holds and other.service == first.service
        case Bottleneck.POOL:
            holds = other.bottleneck not in _RESOURCES and other.service == first.service
        case _:
            holds = first.bottleneck in _RESOURCES and other.bottleneck not in _RESOURCES | {Bottleneck.SLOW_CALL}
            holds = holds and other.service == first.service
    return holds and other.saving.total() >= first.saving.total() / 2


def _is_same_operation(one: Candidate, other: Candidate) -> bool:
    return (one.service, one.operation) == (other.service, other.operation)
