"""Detector of a slow call: one statement or RPC without spans below it takes much of the time by itself.

The call is slow each time, not frequent: repeated calls are other classes. A wait for a lock, a limit or a pool within
the call looks the same in one trace; where all traces together show such a wait, that class is named instead.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import (
    acquires_a_connection,
    begins_a_transaction,
    is_database_call,
    summary_of,
)
from observability.analysis.conventions.operations import operation_of
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, total_seconds
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# A statement that uses an index and a call within one site take a few milliseconds: what is faster is not slow.
SLOW_SECONDS = 0.010
# Where a service's other calls are about as slow, something else slows all of them.
_TIMES_OTHERS = 3.0
# How fast the call could be is unknown. The assumed fix leaves what is not slow; half of that gain is as likely.
_MODEL_ERROR = 0.5
_KINDS = frozenset({SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.SERVER})

Operation = tuple[str, str]


@dataclass(slots=True)
class _Calls:
    """The calls of one operation on the requests' paths.

    spent: for each request, its path's time in them, in seconds.
    is_statement: whether they are database calls.
    span_ids: of each call, with its request's index.
    """

    spent: list[float]
    is_statement: bool
    span_ids: set[tuple[int, str]] = field(default_factory=set)

    @property
    def mean_seconds(self) -> float:
        """The mean time that a request waited for one call."""
        return sum(self.spent) / len(self.span_ids)

    def share_of_one(self, requests: Sequence[Request]) -> float:
        """Return the share that one call takes of a request that makes it."""
        making = (request.seconds for request, spent in zip(requests, self.spent, strict=True) if spent)
        return self.mean_seconds / fmean(making)


def find_slow_call(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each operation of which one call takes long; the fix makes it a fast one."""
    calls = _calls(requests)
    return [
        _candidate(operation, each, requests)
        for operation, each in calls.items()
        if each.mean_seconds >= SLOW_SECONDS
        and each.share_of_one(requests) >= LEAST_SHARE
        and each.mean_seconds >= _TIMES_OTHERS * _usual_seconds(operation, calls)
    ]


def _calls(requests: Sequence[Request]) -> dict[Operation, _Calls]:
    """Return the opaque calls on the paths by service and operation."""
    calls: dict[Operation, _Calls] = {}
    for number, request in enumerate(requests):
        for segment in request.path:
            node = segment.node
            if node is request.root or not _is_opaque_call(node):
                continue
            operation = node.span.service, name_of(node.span)
            if operation not in calls:
                calls[operation] = _Calls([0.0] * len(requests), is_database_call(node.span))
            calls[operation].spent[number] += segment.duration_nanoseconds / _NANOSECONDS
            calls[operation].span_ids.add((number, node.span.span_id))
    return calls


def name_of(span: Span) -> str:
    """Return the name of a call's operation: the statement of a database call, else the template of the span's name."""
    return summary_of(span) if is_database_call(span) else operation_of(span)


def _is_opaque_call(node: Node) -> bool:
    """Return whether a call, or the server's side of one, has nothing recorded below it that its caller waits for.

    The begin of a transaction is none, nor is the wait for a connection.
    """
    if node.span.kind not in _KINDS or any(child.span.kind is not SpanKind.CONSUMER for child in node.children):
        return False
    waits = is_database_call(node.span) and begins_a_transaction(node.span)
    return not waits and not acquires_a_connection(node.span)


def _usual_seconds(operation: Operation, calls: Mapping[Operation, _Calls]) -> float:
    """Return the median duration of the service's other calls of the same kind; 0 when there are none."""
    service, _ = operation
    others = [
        each.mean_seconds
        for other, each in calls.items()
        if other != operation and other[0] == service and each.is_statement == calls[operation].is_statement
    ]
    return median(others) if others else 0.0


def _candidate(operation: Operation, calls: _Calls, requests: Sequence[Request]) -> Candidate:
    service, name = operation
    share = sum(calls.spent) / total_seconds(requests)
    what = "statement" if calls.is_statement else "call"
    return Candidate(
        bottleneck=Bottleneck.SLOW_CALL,
        service=service,
        operation=name,
        # Nothing says whether the shared processor works meanwhile; the lower gain, of a wait, is assumed.
        saving=Saving(work=(0.0,) * len(requests), wait=_beyond(calls, len(requests)), model_error=_MODEL_ERROR),
        evidence=(
            f"{name!r} of {service} takes {calls.mean_seconds * 1e3:.1f} ms on average; it has no spans below it",
            f"requests wait for it for {share:.0%} of their time; a fix can gain no more than that",
            f"{len(calls.span_ids) / len(requests):.2f} such {what}s per request",
        ),
        trace_ids=_slowest(calls, requests),
        predictor="path: the call takes 10 ms",
    )


def _beyond(calls: _Calls, requests: int) -> tuple[float, ...]:
    """Return for each request the time that its calls take beyond fast ones."""
    made = Counter(number for number, _ in calls.span_ids)
    return tuple(max(0.0, calls.spent[number] - made[number] * SLOW_SECONDS) for number in range(requests))


def _slowest(calls: _Calls, requests: Sequence[Request], count: int = 3) -> tuple[str, ...]:
    """Return the trace ids of the requests that waited longest for the call."""
    slowest = sorted(range(len(requests)), key=lambda number: -calls.spent[number])[:count]
    return tuple(requests[number].root.span.trace_id for number in slowest)
