"""Which statements are on the requests' path, and how long did each take?"""

from collections import defaultdict
from collections.abc import Sequence

from observability.analysis.requests import Request, is_database_call, is_transaction_control, seconds
from observability.analysis.trees import Node

Calls = dict[tuple[str, str], list[tuple[int, Node]]]


def database_calls(requests: Sequence[Request], *, namespace: str) -> Calls:
    """Give the statements on the path in one database, by service and name, each with its request's number."""
    calls: Calls = defaultdict(list)
    for number, request in enumerate(requests):
        for node in request.waited_for():
            span = node.span
            here = span.attributes.get("db.namespace") == namespace
            if here and is_database_call(span) and not is_transaction_control(span):
                calls[span.service, span.name].append((number, node))
    return calls


def durations(calls: Sequence[tuple[int, Node]]) -> list[float]:
    """Give the seconds that each took."""
    return [seconds([node]) for _, node in calls]


def beyond(calls: Sequence[tuple[int, Node]], usual: float, requests: int) -> tuple[float, ...]:
    """Add up by request how much longer than usual the calls took."""
    beyond = [0.0] * requests
    for number, node in calls:
        beyond[number] += max(0.0, seconds([node]) - usual)
    return tuple(beyond)
