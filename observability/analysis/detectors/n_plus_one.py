"""Detector of N+1 queries: a statement is sent once for each row, where one statement for all rows would do."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import executes_a_statement, is_database_call, summary_of
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.detectors.repeated_calls import RepeatedCalls, repeated_calls, seconds_between
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, seconds
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9


def find_n_plus_one(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each statement repeated sequentially under one parent; the fix sends one for all rows."""
    return [_n_plus_one(repeated, requests) for repeated in repeated_calls(requests, _statement)]


def _statement(node: Node) -> str | None:
    return summary_of(node.span) if executes_a_statement(node.span) else None


def _n_plus_one(repeated: RepeatedCalls, requests: Sequence[Request]) -> Candidate:
    service, name, sizes = repeated.service, repeated.operation, repeated.sizes
    usual = repeated.usual_size
    calls = [node for groups in repeated.by_request.values() for group in groups for node in group]
    single = median(node.span.duration_nanoseconds for node in calls) / _NANOSECONDS
    row = min(_seconds_per_row(service, name, sizes, requests), single / 2)
    saved = tuple(
        sum(
            max(0.0, seconds(group) + seconds_between(group) - single - (len(group) - 1) * row)
            for group in repeated.by_request.get(number, [])
        )
        for number in range(len(requests))
    )
    return Candidate(
        bottleneck=Bottleneck.N_PLUS_ONE,
        service=service,
        operation=name,
        saving=Saving(work=saved, wait=(0.0,) * len(requests)),
        evidence=(
            f"{name!r} of {service} is sent {usual:.1f} times in sequence per request, at most {max(sizes)}",
            f"each takes {single * 1e3:.2f} ms (median); one statement for all takes {row * 1e6:.0f} us more per row",
        ),
        trace_ids=tuple(requests[number].root.span.trace_id for number in repeated.largest()),
        predictor="retime: k statements become one",
    )


def _seconds_per_row(service: str, name: str, sizes: Sequence[int], requests: Sequence[Request]) -> float:
    """Return the estimated seconds per row of a statement for all rows, from the service's other statements."""
    seen: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for size, request in zip(sizes, requests, strict=True):
        for node in request.nodes:
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
