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
# Repeated calls, of which one would do.
_REPETITIONS = frozenset({Bottleneck.CHATTY_RPC, Bottleneck.N_PLUS_ONE})
# A call may be slow since it waits for one of these; then the rest of it may be slow as well.
_WAITS = _LIMITS | {Bottleneck.POOL, Bottleneck.HOT_ROW}
# Waiting for a saturated resource looks like one of these.
_SYMPTOMS_OF_OVERLOAD = (
    _RESOURCES
    | _LIMITS
    | {Bottleneck.NETWORK_LATENCY, Bottleneck.UNBOUNDED_WAIT, Bottleneck.SLOW_CALL, Bottleneck.CONSUMER_LAG}
)
# Classes that never count as the cause of a queue for a lock or a worker, although they lengthen the time it is held.
_NO_CAUSE_OF_A_LIMIT = _RESOURCES | _LIMITS | {Bottleneck.NETWORK_LATENCY, Bottleneck.UNBOUNDED_WAIT}
# A server of a database has more to do than its processor can.
_FULL_SERVERS = frozenset({Bottleneck.HOT_SHARD, Bottleneck.READ_SATURATION})
# These make reads many or expensive, or put them on one server of several.
_MORE_READS = frozenset({Bottleneck.N_PLUS_ONE, Bottleneck.MISSING_INDEX, Bottleneck.HOT_SHARD})
# Two waits of which this share is the same are one.
_SAME_WAIT = 0.5

Judged = tuple[Candidate, Prediction]


def choose(worth: Sequence[Judged]) -> Judged:
    """Return the candidate that explains most, or its cause, if that explains at least half as much.

    Overload outranks pools and network latency: they are only its symptoms. An unbounded wait is a symptom of the
    bottleneck that makes the calls slow, except of `slow_call`, which gives no reason itself. A cold cache comes before
    a bottleneck in the read that a cache hit would make unnecessary.
    """
    first = next((each for each in worth if each[0].bottleneck is Bottleneck.OVERLOAD), worth[0])
    if first[0].bottleneck is Bottleneck.SLOW_CALL:
        first = next((each for each in worth if each[0].bottleneck is Bottleneck.UNBOUNDED_WAIT), first)
    first = next((each for each in worth if _removes_need_for(each[0], first[0])), first)
    causes = [other for other in worth if other is not first and _is_cause_of(other[0], first[0])]
    # On a hot server every statement is slow, which is no cause of its own.
    hot = next((each for each in causes if each[0].bottleneck is Bottleneck.HOT_SHARD), None)
    return hot or next(iter(causes), first)


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
    left = [each for each in left if not _is_removed_with(each, left)]
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


def _is_removed_with(each: Candidate, candidates: Sequence[Candidate]) -> bool:
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


def is_symptom_of(other: Candidate, named: Candidate) -> bool:
    """Return whether a server's workers are all taken only since the named bottleneck keeps them for long."""
    return other.bottleneck in _LIMITS and not other.operation and _is_cause_of(named, other)


def _is_cause_of(other: Candidate, first: Candidate) -> bool:
    """Return whether `other` may cause `first` and explains at least half as much time.

    Calls that were read late may be those of `other`, and do not count for `first`.
    """
    match first.bottleneck:
        case Bottleneck.OVERLOAD:
            holds = other.bottleneck not in _SYMPTOMS_OF_OVERLOAD
        case Bottleneck.UNBOUNDED_WAIT:
            # A slow call explains nothing: its own reason is unknown.
            holds = other.bottleneck is not Bottleneck.SLOW_CALL
        case Bottleneck.NETWORK_LATENCY:
            # A wait for the callee's worker is before its span, so it looks like network. Fewer calls wait less often
            # for the network.
            holds = other.bottleneck in _LIMITS and other.service == first.operation
            holds = holds or (other.bottleneck in _REPETITIONS and other.service == first.service)
        case Bottleneck.SERIAL_RESOURCE | Bottleneck.CONCURRENCY_LIMIT:
            holds = other.bottleneck not in _NO_CAUSE_OF_A_LIMIT | {Bottleneck.SLOW_CALL}
            holds = holds and other.service == first.service
        case Bottleneck.POOL:
            holds = other.bottleneck not in _RESOURCES and other.service == first.service
        case Bottleneck.SLOW_CALL:
            # Statements of a hot or a full server are slow, whatever they are.
            holds = other.bottleneck in _FULL_SERVERS and other.service == first.service
        case Bottleneck.READ_SATURATION:
            # Replicas would have as many statements, and as expensive ones.
            holds = other.bottleneck in _MORE_READS and other.service == first.service
        case _:
            holds = first.bottleneck in _RESOURCES and other.bottleneck not in _RESOURCES | {Bottleneck.SLOW_CALL}
            holds = holds and other.service == first.service
    return holds and other.saving.total() >= (1 - first.late_share) * first.saving.total() / 2


def _is_same_operation(one: Candidate, other: Candidate) -> bool:
    return (one.service, one.operation) == (other.service, other.operation)
