"""Detector of synchronous side effects: the answer waits for calls whose result it does not need."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import ends_a_change, is_database_call
from observability.analysis.conventions.operations import operation_of
from observability.analysis.critical_path import Where
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, longest
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9


def find_side_effect(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each remote call on the path after the last commit; the fix takes it off the path."""
    spent: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(requests))
    between: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(requests))
    for number, request in enumerate(requests):
        calls = _after_the_last_change(request)
        for node in calls:
            spent[_operation(node)][number] += request.seconds_below(node)
        for node, following in pairwise(calls):
            between[_operation(node)][number] += _own_seconds_between(request, node, following)
    return [
        Candidate(
            bottleneck=Bottleneck.SYNC_SIDE_EFFECT,
            service=service,
            operation=name,
            saving=Saving(work=tuple(between[service, name]), wait=tuple(taken)),
            evidence=(
                f"{name!r} of {service} takes {fmean(taken) * 1e3:.1f} ms of a request after its last commit",
                "no later change on the critical path depends on it",
            ),
            trace_ids=longest(requests),
            predictor="path: the call is off the critical path",
        )
        for (service, name), taken in spent.items()
    ]


def _operation(node: Node) -> tuple[str, str]:
    return node.span.service, operation_of(node.span)


def _after_the_last_change(request: Request) -> list[Node]:
    """Return the remote calls on the path that follow the last change and are no database calls or mere queries."""
    calls = list(request.waited_for())
    changes = [node.span for node in calls if is_database_call(node.span) and ends_a_change(node.span)]
    if not changes:
        return []
    last = max(span.end_nanoseconds for span in changes)
    return [
        node
        for node in calls
        if node.span.start_nanoseconds >= last
        and node.span.kind in {SpanKind.CLIENT, SpanKind.PRODUCER}
        and not is_database_call(node.span)
        and not _is_query(node)
    ]


def _own_seconds_between(request: Request, former: Node, latter: Node) -> float:
    """Return the time of a service's own code between two such calls, which the fix removes too."""
    start, end = former.span.end_nanoseconds, latter.span.start_nanoseconds
    own = (each for each in request.path if start <= each.start_nanoseconds < end and each.where is Where.SELF)
    return sum(each.duration_nanoseconds for each in own if each.node.span.kind is not SpanKind.CLIENT) / _NANOSECONDS


def _is_query(call: Node) -> bool:
    """Return whether the callee only read from a database: then the caller needs its result."""
    statements = [node.span for node in call.walk() if is_database_call(node.span)]
    return bool(statements) and not any(ends_a_change(span) for span in statements)
