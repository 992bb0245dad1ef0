"""Calls repeated in sequence: groups of them by operation and request, and the code between them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from observability.analysis.critical_path import calls_in_sequence
from observability.analysis.requests import Request
from observability.analysis.span_status import failed
from observability.analysis.trees import Node

_NANOSECONDS = 1e9
# Fewer calls in sequence than this are normal code.
_FEWEST_CALLS = 3.0
# A loop makes its calls one after the other, always. Where more of the groups overlap, the calls of the others wait for
# their turn; what clocks make overlap is less.
_MOST_OVERLAPPING = 0.10

Calls = tuple[Node, ...]
# Returns the operation that a span calls; None for a span that does not count.
OperationOf = Callable[[Node], str | None]


@dataclass(frozen=True, slots=True)
class RepeatedCalls:
    """An operation that a service calls in sequence.

    by_request: the groups of calls, by the index of their request.
    sizes: for each request the number of calls in its largest group, 0 without one.
    usual_size: the mean of these over the requests that ended well; one that was cut off had no time for the rest.
    """

    service: str
    operation: str
    by_request: dict[int, list[Calls]]
    sizes: tuple[int, ...]
    usual_size: float

    def largest(self) -> list[int]:
        """Return the indices of the three requests with the most calls in sequence."""
        return sorted(self.by_request, key=lambda number: -self.sizes[number])[:3]


def repeated_calls(requests: Sequence[Request], operation_of: OperationOf) -> Iterator[RepeatedCalls]:
    """Yield the operations that requests call several times in sequence on average."""
    found: dict[tuple[str, str], dict[int, list[Calls]]] = defaultdict(lambda: defaultdict(list))
    overlapping = Counter[tuple[str, str]]()
    for number, request in enumerate(requests):
        waited_for = {node.span.span_id for node in request.waited_for()}
        for parent in (each for each in request.root.walk() if len(each.children) > 1):
            in_sequence = calls_in_sequence(parent)
            for operation, calls in _on_the_path(in_sequence, waited_for, operation_of):
                found[calls[0].span.service, operation][number].append(calls)
            overlapping.update(_that_overlap(parent, in_sequence, operation_of))
    for (service, operation), by_request in found.items():
        groups = sum(map(len, by_request.values()))
        if overlapping[service, operation] > _MOST_OVERLAPPING * (groups + overlapping[service, operation]):
            continue
        sizes = tuple(max(map(len, by_request.get(number, [()]))) for number in range(len(requests)))
        whole = [size for size, request in zip(sizes, requests, strict=True) if not failed(request.root.span)]
        usual_size = fmean(whole or sizes)
        if usual_size >= _FEWEST_CALLS:
            yield RepeatedCalls(service, operation, by_request, sizes, usual_size)


def _on_the_path(
    in_sequence: Iterable[Calls], waited_for: set[str], operation_of: OperationOf
) -> Iterator[tuple[str, Calls]]:
    """Yield groups of calls on the critical path, those of one operation and one parent together."""
    for calls in in_sequence:
        alike: dict[str, list[Node]] = defaultdict(list)
        for node in calls:
            if node.span.span_id in waited_for and (operation := operation_of(node)) is not None:
                alike[operation].append(node)
        yield from ((operation, tuple(nodes)) for operation, nodes in alike.items() if len(nodes) > 1)


def _that_overlap(parent: Node, in_sequence: Iterable[Calls], operation_of: OperationOf) -> Iterator[tuple[str, str]]:
    """Yield service and operation of the calls that a parent repeats, but not one after the other."""
    known = {node.span.span_id for calls in in_sequence for node in calls}
    others = (node for node in parent.children if node.span.span_id not in known)
    seen = Counter((node.span.service, operation) for node in others if (operation := operation_of(node)) is not None)
    yield from (called for called, count in seen.items() if count > 1)


def seconds_between(calls: Sequence[Node]) -> float:
    """Return the time between calls in sequence that the fix removes with them.

    A gap of the median length is the code of the loop that makes the calls; a longer one counts as at most two medians.
    """
    gaps = [later.span.start_nanoseconds - earlier.span.end_nanoseconds for earlier, later in pairwise(calls)]
    usual = median(gaps) if gaps else 0
    return sum(min(gap, 2 * usual) for gap in gaps) / _NANOSECONDS
