"""Database calls on the requests' critical paths, grouped by statement, and their durations."""

from collections import defaultdict
from collections.abc import Sequence

from observability.analysis.conventions.database import executes_a_statement, namespace_of, summary_of
from observability.analysis.requests import Request, seconds
from observability.analysis.trees import Node

Calls = dict[tuple[str, str], list[tuple[int, Node]]]


def database_calls(requests: Sequence[Request], *, namespace: str) -> Calls:
    """Return the statements on the paths in one database, by service and summary, each with its request's index."""
    calls: Calls = defaultdict(list)
    for number, request in enumerate(requests):
        for node in request.waited_for():
            span = node.span
            here = namespace_of(span) == namespace
            if here and executes_a_statement(span):
                calls[span.service, summary_of(span)].append((number, node))
    return calls


def durations(calls: Sequence[tuple[int, Node]]) -> list[float]:
    """Return the duration of each call in seconds."""
    return [seconds([node]) for _, node in calls]


def beyond(calls: Sequence[tuple[int, Node]], usual: float, requests: int) -> tuple[float, ...]:
    """Return for each request the time that its calls took beyond the usual, in seconds."""
    beyond = [0.0] * requests
    for number, node in calls:
        beyond[number] += max(0.0, seconds([node]) - usual)
    return tuple(beyond)
