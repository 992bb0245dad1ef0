"""Detector of N+1 queries: one statement is sent again and again, where one for all rows would do."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import executes_a_statement, is_database_call, summary_of
from observability.analysis.critical_path import calls_in_sequence
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, seconds
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# Fewer calls in sequence than this are normal code.
_FEWEST_CALLS = 3.0


def find_n_plus_one(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each statement repeated sequentially under one parent; the fix sends one for all rows."""
    groups: dict[tuple[str, str], dict[int, list[tuple[Node, ...]]]] = defaultdict(lambda: defaultdict(list))
    for number, request in enumerate(requests):
        for calls in _calls_on_the_path(request):
            groups[calls[0].span.service, summary_of(calls[0].span)][number].append(calls)
    candidates = []
    for (service, name), by_request in groups.items():
        sizes = [max(len(calls) for calls in by_request.get(number, [()])) for number in range(len(requests))]
        if fmean(sizes) >= _FEWEST_CALLS:
            candidates.append(_n_plus_one(service, name, by_request, sizes, requests))
    return candidates


def _calls_on_the_path(request: Request) -> Iterator[tuple[Node, ...]]:
    """Yield groups of statements on the critical path, those of one summary and one parent together."""
    waited_for = {node.span.span_id for node in request.waited_for()}
    for parent in request.root.walk():
        for calls in calls_in_sequence(parent):
            alike: dict[str, list[Node]] = defaultdict(list)
            for node in calls:
                span = node.span
                if span.span_id in waited_for and executes_a_statement(span):
                    alike[summary_of(span)].append(node)
            yield from (tuple(nodes) for nodes in alike.values() if len(nodes) > 1)


def _n_plus_one(
    service: str,
    name: str,
    by_request: dict[int, list[tuple[Node, ...]]],
    sizes: Sequence[int],
    requests: Sequence[Request],
) -> Candidate:
    calls = [node for groups in by_request.values() for group in groups for node in group]
    single = median(node.span.duration_nanoseconds for node in calls) / _NANOSECONDS
    row = min(_seconds_per_row(service, name, sizes, requests), single / 2)
    saved = tuple(
        sum(
            max(0.0, _sequence_seconds(group) - single - (len(group) - 1) * row) for group in by_request.get(number, [])
        )
        for number in range(len(requests))
    )
    longest_groups = sorted(by_request, key=lambda number: -sizes[number])[:3]
    return Candidate(
        bottleneck=Bottleneck.N_PLUS_ONE,
        service=service,
        operation=name,
        saving=Saving(work=saved, wait=(0.0,) * len(requests)),
        evidence=(
            f"{name!r} of {service} is sent {fmean(sizes):.1f} times in sequence per request, at most {max(sizes)}",
            f"each takes {single * 1e3:.2f} ms (median); one statement for all takes {row * 1e6:.0f} us more per row",
        ),
        trace_ids=tuple(requests[number].root.span.trace_id for number in longest_groups),
        predictor="retime: k statements become one",
    )


def _sequence_seconds(calls: Sequence[Node]) -> float:
    """Return the time from the first call to the end of the last, without other work between them.

    A usual gap is the loop that sends the calls, which the fix removes too; of a longer gap only twice that counts.
    """
    gaps = [later.span.start_nanoseconds - earlier.span.end_nanoseconds for earlier, later in pairwise(calls)]
    usual = median(gaps) if gaps else 0
    return seconds(calls) + sum(min(gap, 2 * usual) for gap in gaps) / _NANOSECONDS


def _seconds_per_row(service: str, name: str, sizes: Sequence[int], requests: Sequence[Request]) -> float:
    """Return the estimated seconds per row of a statement for all rows, from the service's other statements."""
    seen: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for size, request in zip(sizes, requests, strict=True):
        for node in request.root.walk():
            span = node.span
            if span.service == service and summary_of(span) != name and is_database_call(span):
                seen[summary_of(span)].append((size, span.duration_nanoseconds / _NANOSECONDS))
    slopes = [slope for points in seen.values() if (slope := _slope(points)) > 0]
    return median(slopes) if slopes else 0.0


def _slope(points: Sequence[tuple[int, float]]) -> float:
    """Return the slope of the least-squares line; 0 when all points have the same x."""
    middle_x, middle_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
