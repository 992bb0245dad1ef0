"""Detector of an unbounded wait: calls run longer than the requests' deadline, and no timeout ends them.

The calls may be slow for any reason: lost packets, a blocked server, a job that holds a lock. The bottleneck here is
the missing timeout: with one, the caller could still answer in time, for example that the request was accepted.

So some calls to another service took longer than the requests' deadline, and none timed out before it. If some did time
out there is a limit, and the cause of the slowness is the bottleneck. A known cause that explains half as much is named
instead as well, since fast calls need no timeout.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import is_database_call
from observability.analysis.conventions.operations import operation_of
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.observation import Observation, Requests
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest, seconds
from observability.analysis.span_status import gave_up
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving, changed_goodput


def find_unbounded_wait(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each service whose calls exceed the deadline; the fix ends a request at its deadline."""
    seen = observation.requests
    if seen is None or seen.deadline_seconds is None:
        return []
    by_service: dict[str, list[tuple[int, Node]]] = defaultdict(list)
    for number, request in enumerate(requests):
        for node in _calls(request):
            by_service[node.span.service].append((number, node))
    return [
        _candidate(service, calls, seen, seen.deadline_seconds, requests)
        for service, calls in by_service.items()
        if _are_unbounded(calls, seen.deadline_seconds, len(requests))
    ]


def _calls(request: Request) -> Iterator[Node]:
    """Yield the outermost calls to other services on the path: their caller is the one to set a timeout."""
    below: set[str] = set()
    for node in request.waited_for():
        if node.span.span_id not in below and node.span.kind is SpanKind.CLIENT and not is_database_call(node.span):
            below.update(each.span.span_id for each in node.walk())
            yield node


def _are_unbounded(calls: Sequence[tuple[int, Node]], deadline: float, requests: int) -> bool:
    longer = {number for number, node in calls if seconds([node]) > deadline}
    limited = any(gave_up(node.span) and seconds([node]) <= deadline for _, node in calls)
    return len(longer) >= LEAST_SHARE * requests and not limited


def _candidate(
    service: str, calls: Sequence[tuple[int, Node]], seen: Requests, deadline: float, requests: Sequence[Request]
) -> Candidate:
    saved = _saved_seconds(calls, deadline, requests)
    in_time = sum(each > 0 for each in saved) / len(requests) * seen.offered_per_second
    took = sorted(seconds([node]) for _, node in calls)
    longer = sum(each > deadline for each in took)
    return Candidate(
        bottleneck=Bottleneck.UNBOUNDED_WAIT,
        service=service,
        operation=_longest_of(calls, deadline),
        saving=Saving(work=(0.0,) * len(requests), wait=saved),
        evidence=(
            f"{longer} of {len(took)} calls of {service} took longer than {deadline:g} s, and up to {took[-1]:.1f} s",
            f"half of them took at most {quantile(took, 0.5) * 1e3:.0f} ms, and none timed out before the deadline",
            seen.useful_summary(),
        ),
        trace_ids=longest(requests),
        predictor="path: calls end at their request's deadline",
        goodput=changed_goodput(
            seen.useful_per_second,
            min(seen.offered_per_second, seen.useful_per_second + in_time),
            requests=len(seen.latencies_seconds),
            seconds=seen.seconds,
        ),
    )


def _saved_seconds(
    calls: Sequence[tuple[int, Node]], deadline: float, requests: Sequence[Request]
) -> tuple[float, ...]:
    """Return each request's time beyond the deadline; 0 when it would exceed the deadline without its calls too."""
    called = [0.0] * len(requests)
    for number, node in calls:
        called[number] += seconds([node])
    return tuple(
        request.seconds - deadline if request.seconds - waited <= deadline < request.seconds else 0.0
        for request, waited in zip(requests, called, strict=True)
    )


def _longest_of(calls: Sequence[tuple[int, Node]], deadline: float) -> str:
    """Return the name of the call that spends most time beyond the deadline."""
    beyond: dict[str, float] = defaultdict(float)
    for _, node in calls:
        beyond[operation_of(node.span)] += max(0.0, seconds([node]) - deadline)
    return max(beyond, key=lambda name: beyond[name])
