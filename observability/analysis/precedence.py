"""Precedence: which of several bottlenecks is named first, a cause before its symptom."""

from collections.abc import Sequence

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.whatif import Prediction

# A resource is exhausted by something else, which is named instead if it was found.
_RESOURCES = frozenset({Bottleneck.POOL, Bottleneck.CPU_BOUND, Bottleneck.BLOCKING_CALL})
# Waiting for a saturated resource looks like one of these.
_SYMPTOMS_OF_OVERLOAD = _RESOURCES | {Bottleneck.NETWORK_LATENCY, Bottleneck.UNBOUNDED_WAIT}

Judged = tuple[Candidate, Prediction]


def choose(worth: Sequence[Judged]) -> Judged:
    """Return the candidate that explains most, or its cause, if that explains at least half as much.

    Overload outranks pools and network latency: they are only its symptoms. An unbounded wait has a cause as well: what
    makes the calls slow. A cold cache comes before a bottleneck in the read that a cache hit would make unnecessary.
    """
    first = next((each for each in worth if each[0].bottleneck is Bottleneck.OVERLOAD), worth[0])
    first = next((each for each in worth if _removes_need_for(each[0], first[0])), first)
    return next((other for other in worth if other is not first and _is_cause_of(other[0], first[0])), first)


def _removes_need_for(other: Candidate, first: Candidate) -> bool:
    """Return whether a cache hit would make the operation of the first candidate unnecessary."""
    return other.bottleneck is Bottleneck.COLD_CACHE and _is_same_operation(first, other)


def _is_cause_of(other: Candidate, first: Candidate) -> bool:
    """Return whether `other` may cause `first` and explains at least half as much time."""
    match first.bottleneck:
        case Bottleneck.OVERLOAD:
            holds = other.bottleneck not in _SYMPTOMS_OF_OVERLOAD
        case Bottleneck.UNBOUNDED_WAIT:
            holds = True
        case _:
            holds = first.bottleneck in _RESOURCES and other.bottleneck not in _RESOURCES
            holds = holds and other.service == first.service
    return holds and other.saving.total() >= first.saving.total() / 2


def _is_same_operation(one: Candidate, other: Candidate) -> bool:
    return (one.service, one.operation) == (other.service, other.operation)
