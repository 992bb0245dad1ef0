"""Unbounded wait: do calls go on for longer than anybody waits for an answer, and does nobody give them up?

What makes a part of the calls slow may be anything: packets that are lost, a server that stands still, a job that holds
a lock. That is another question. Here it is whether their caller lets that decide for how long its own callers wait:
with a limit it would have answered something in time, as that the request is kept and goes on without them.

So there must be calls to another service that took longer than the requests' own deadline, and none that ended before
it because its time was over: where calls are given up there is a limit, and what is slow has the name. So it has, too,
wherever it is known, if that explains half as much: calls that are quick again need no limit.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.observation import Observation, Requests
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, is_database_call, longest, seconds
from observability.analysis.span_status import gave_up
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving, changed_goodput


def find_unbounded_wait(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Calls that took longer than their requests had: each request again, with its calls cut at what was left of it."""
    seen = observation.requests
    if seen is None or seen.deadline_seconds is None:
        return []
    by_service: dict[str, list[tuple[int, Node]]] = defaultdict(list)
    for number, request in enumerate(requests):
        for node in _calls(request):
            by_service[node.span.service].append((number, node))
    return [
        _suspect(service, calls, seen, seen.deadline_seconds, requests)
        for service, calls in by_service.items()
        if _have_no_limit(calls, seen.deadline_seconds, len(requests))
    ]


def _calls(request: Request) -> Iterator[Node]:
    """Give the calls on the path to other services, outermost ones alone: who calls them decides how long they take."""
    below: set[str] = set()
    for node in request.waited_for():
        if node.span.span_id not in below and node.span.kind is SpanKind.CLIENT and not is_database_call(node.span):
            below.update(each.span.span_id for each in node.walk())
            yield node


def _have_no_limit(calls: Sequence[tuple[int, Node]], deadline: float, requests: int) -> bool:
    longer = {number for number, node in calls if seconds([node]) > deadline}
    limited = any(gave_up(node.span) and seconds([node]) <= deadline for _, node in calls)
    return len(longer) >= LEAST_SHARE * requests and not limited


def _suspect(
    service: str, calls: Sequence[tuple[int, Node]], seen: Requests, deadline: float, requests: Sequence[Request]
) -> Candidate:
    saved = _cut_off(calls, deadline, requests)
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
            f"half of them took at most {quantile(took, 0.5) * 1e3:.0f} ms, and none was given up in time",
            seen.useful_in_words(),
        ),
        trace_ids=longest(requests),
        predictor="path: calls are cut at what is left of their request's time",
        goodput=changed_goodput(
            seen.useful_per_second,
            min(seen.offered_per_second, seen.useful_per_second + in_time),
            requests=len(seen.latencies_seconds),
            seconds=seen.seconds,
        ),
    )


def _cut_off(calls: Sequence[tuple[int, Node]], deadline: float, requests: Sequence[Request]) -> tuple[float, ...]:
    """Give what each request takes beyond the deadline; nothing where it does so without its calls, too."""
    called = [0.0] * len(requests)
    for number, node in calls:
        called[number] += seconds([node])
    return tuple(
        request.seconds - deadline if request.seconds - waited <= deadline < request.seconds else 0.0
        for request, waited in zip(requests, called, strict=True)
    )


def _longest_of(calls: Sequence[tuple[int, Node]], deadline: float) -> str:
    """Name the call that most of the time beyond the deadline is spent in."""
    beyond: dict[str, float] = defaultdict(float)
    for _, node in calls:
        beyond[node.span.name] += max(0.0, seconds([node]) - deadline)
    return max(beyond, key=lambda name: beyond[name])
