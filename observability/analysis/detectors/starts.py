"""Start times of spans, grouped by operation, server or database client, with the time when each could have started."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from observability.analysis.conventions.database import (
    acquires_a_connection,
    begins_a_transaction,
    database_system,
    ends_a_transaction,
    is_database_call,
    name_of,
)
from observability.analysis.conventions.operations import operation_of
from observability.analysis.detectors.concurrency import Start
from observability.analysis.observation import Observation
from observability.analysis.requests import Request
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node


class Group(NamedTuple):
    """A group of operations whose concurrency may be limited.

    service: the service that has the limit.
    operation: the operation; empty for a whole server or database client.
    database: the system that is called; empty for other groups.
    """

    service: str
    operation: str
    database: str = ""


def starts_by_group(observation: Observation, requests: Sequence[Request]) -> dict[Group, list[Start]]:
    """Return the starts of each operation, of each server as a whole, and of all transactions of a service."""
    groups: dict[Group, list[Start]] = defaultdict(list)
    for number, root in roots(observation, requests):
        for parent in root.walk():
            if parent.children:
                _add_children(groups, parent, number)
    return groups


def roots(observation: Observation, requests: Sequence[Request]) -> Iterator[tuple[int, Node]]:
    """Yield all trees, those of requests with their index and repaired times, others with -1."""
    known = set()
    for number, request in enumerate(requests):
        known.add(request.root.span.trace_id)
        yield number, request.root
    for trace in observation.traces:
        if trace.trace_id not in known:
            yield from ((-1, top) for top in (*trace.roots, *trace.orphans))


def _add_children(groups: dict[Group, list[Start]], parent: Node, number: int) -> None:
    children = [child for child in parent.children if child.span.kind is not SpanKind.CONSUMER]
    alike: dict[Group, list[Node]] = defaultdict(list)
    statements = []
    for child in children:
        span = child.span
        alike[Group(span.service, operation_called(child))].append(child)
        if span.kind is SpanKind.SERVER and parent.span.service != span.service:
            alike[Group(span.service, "")].append(child)
        elif is_database_call(span) and not acquires_a_connection(span):
            statements.append(child)
    ends = sorted([child.span.end_nanoseconds for child in children])
    for group, members in alike.items():
        groups[group] += _starts(parent, members, children, ends, number)
    for transaction in _transactions(statements) if statements else ():
        first = transaction[0]
        last = max(node.span.end_nanoseconds for node in transaction)
        [start] = _starts(parent, [first], children, ends, number)
        start = start._replace(end=max(start.start, last))
        service, database = first.span.service, database_system(first.span) or "a database"
        groups[Group(service, "", database)].append(start)
        groups[Group(service, operation_of(parent.span), database)].append(start)


def _transactions(statements: Sequence[Node]) -> Iterator[list[Node]]:
    """Yield the statements from each begin to its end; outside of transactions, each statement alone."""
    opened: list[Node] = []
    for node in statements:
        opened.append(node)
        if begins_a_transaction(node.span):
            yield from ([each] for each in opened[:-1])
            opened = [node]
        elif ends_a_transaction(node.span) and begins_a_transaction(opened[0].span):
            yield opened
            opened = []
    yield from ([each] for each in opened)


def operation_called(node: Node) -> str:
    """Return the operation of a span; for a call, that of its server where it is recorded."""
    if node.span.kind is SpanKind.CLIENT:
        for child in node.children:
            if child.span.kind is SpanKind.SERVER:
                return operation_of(child.span)
    return name_of(node.span)


def _starts(
    parent: Node, members: Sequence[Node], children: Sequence[Node], ends: Sequence[int], number: int
) -> Iterator[Start]:
    """Yield the starts of one parent's members of a group.

    Members that overlap were started at once, so that only other children were waited for before.
    """
    at_once = len(members) > 1 and any(
        latter.span.start_nanoseconds < former.span.end_nanoseconds for former, latter in pairwise(members)
    )
    if at_once and len(members) < len(children):
        own = {id(member) for member in members}
        ends = sorted(child.span.end_nanoseconds for child in children if id(child) not in own)
    elif at_once:
        ends = ()
    began, siblings = parent.span.start_nanoseconds, len(members) if at_once else 1
    for member in members:
        span = member.span
        start, end = span.start_nanoseconds, span.end_nanoseconds
        before = bisect_right(ends, start)
        # A span without a duration ends at its own start.
        while before and end <= start and ends[before - 1] == start:
            before -= 1
        ready = ends[before - 1] if before else began
        yield Start(parent, member, number, max(ready, began), start, max(start, end), siblings)
