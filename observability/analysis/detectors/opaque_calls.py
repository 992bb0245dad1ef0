"""Opaque calls: statements and RPCs on the requests' paths that have no spans below them, by operation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

from observability.analysis.conventions.database import (
    acquires_a_connection,
    begins_a_transaction,
    database_system,
    is_database_call,
    name_of,
)
from observability.analysis.detectors.candidate import UNHINDERED
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node

_NANOSECONDS = 1e9
_KINDS = frozenset({SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.SERVER})

Operation = tuple[str, str]


@dataclass(slots=True)
class OpaqueCalls:
    """The calls of one operation.

    is_statement: whether they are database calls.
    is_server: whether the spans are the callee's.
    database: the called database system; empty for other calls, and when it is unknown.
    seconds: the critical path's time in each call, by the index of its request and the id of its span.
    durations: of the spans, in seconds.
    times: when each span began and ended, in nanoseconds since the Unix epoch.
    """

    is_statement: bool
    is_server: bool
    database: str
    seconds: dict[tuple[int, str], float] = field(default_factory=dict)
    durations: list[float] = field(default_factory=list)
    times: list[tuple[int, int]] = field(default_factory=list)

    @property
    def mean_seconds(self) -> float:
        """The mean time that a request waited for one call."""
        return fmean(self.seconds.values())

    @property
    def fastest_seconds(self) -> float:
        """The duration of the fastest tenth, which nothing but the call itself delays."""
        return quantile(sorted(self.durations), UNHINDERED)

    def overlapping(self) -> int:
        """Return how many calls began before the previous call had ended."""
        in_order = sorted(self.times)
        return sum(latter < ended for (_, ended), (latter, _) in pairwise(in_order))

    def spent(self, requests: int) -> list[float]:
        """Return how long each request waited for the calls, in seconds."""
        spent = [0.0] * requests
        for (number, _), seconds in self.seconds.items():
            spent[number] += seconds
        return spent

    def made(self) -> Counter[int]:
        """Return the number of calls by request."""
        return Counter(number for number, _ in self.seconds)


def opaque_calls(requests: Sequence[Request]) -> dict[Operation, OpaqueCalls]:
    """Return the opaque calls on the critical paths by service and operation; a request's root span is not a call."""
    calls: dict[Operation, OpaqueCalls] = {}
    for number, request in enumerate(requests):
        for segment in request.path:
            node = segment.node
            if node is request.root or not _is_opaque(node):
                continue
            span = node.span
            operation = span.service, name_of(span)
            found = calls.get(operation)
            if found is None:
                is_statement = is_database_call(span)
                database = database_system(span) if is_statement else ""
                found = calls[operation] = OpaqueCalls(is_statement, span.kind is SpanKind.SERVER, database)
            call = number, span.span_id
            if call not in found.seconds:
                found.seconds[call] = 0.0
                found.durations.append(span.duration_nanoseconds / _NANOSECONDS)
                found.times.append((span.start_nanoseconds, span.end_nanoseconds))
            found.seconds[call] += segment.duration_nanoseconds / _NANOSECONDS
    return calls


def _is_opaque(node: Node) -> bool:
    """Return whether a call, or the server's side of one, has nothing recorded below it that its caller waits for.

    The BEGIN of a transaction does not count as a call, nor does the wait for a connection.
    """
    if node.span.kind not in _KINDS or any(child.span.kind is not SpanKind.CONSUMER for child in node.children):
        return False
    waits = is_database_call(node.span) and begins_a_transaction(node.span)
    return not waits and not acquires_a_connection(node.span)
