"""Time table: the requests' time by what they waited for, with each part's share of all time.

Every nanosecond of every critical path is in exactly one row, so that the shares add up to 1.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from observability.analysis.comparison import Estimate, student_t_quantile
from observability.analysis.conventions.database import database_system, is_database_call, summary_of
from observability.analysis.conventions.operations import operation_of
from observability.analysis.critical_path import PathSegment, Where
from observability.analysis.requests import Request, total_seconds
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node

_NANOSECONDS = 1e9
_CONFIDENCE = 0.90
_CALLS = frozenset({SpanKind.CLIENT, SpanKind.PRODUCER})
# The time that a call waited for its connection before it began; no span covers that time.
_WAIT_TIME = "db.client.connection.wait_time"


class TimeKind(StrEnum):
    """What a request waits for: code of a service, a callee without spans, the way to a callee, or a connection."""

    CODE = "own code"
    CALL = "call"
    TRANSIT = "transit"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRow:
    """One part of the requests' time.

    name: what the time is spent on, as a reader of the traces would say it.
    service, operation: of the span that the time belongs to; a wait belongs to the call that was to begin.
    peer: the called service, or the kind of the called database; empty when unknown, and for own code.
    requests: number of requests that have it on their critical path.
    calls_per_request: how often it occurs, on average over all requests.
    seconds_per_call: its mean time on a critical path.
    seconds: its time on all critical paths together.
    share: of the time of all requests, 0 to 1, with a 90 % interval of sampling error.
    """

    name: str
    kind: TimeKind
    service: str
    operation: str
    peer: str
    requests: int
    calls_per_request: float
    seconds_per_call: float
    seconds: float
    share: Estimate

    def sentence(self) -> str:
        """Return share, name and figures."""
        low, high = (f"{100 * bound:.0f}" for bound in (self.share.low, self.share.high))
        return (
            f"{self.share.value:4.0%} ({low}-{high}%)  {self.name}: {self.calls_per_request:.3g} per request, "
            f"{self.seconds_per_call * 1e3:.3g} ms each"
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look first.

    name: the place in words.
    operation: empty for a whole service.
    share: of the time of all requests, 0 to 1, with a 90 % interval.
    """

    name: str
    service: str
    operation: str
    share: Estimate


@dataclass(slots=True)
class _Sums:
    """Sums over requests for one row; `on_path` by index of the request, in seconds."""

    calls: int = 0
    on_path: dict[int, float] = field(default_factory=lambda: defaultdict(float))


_Key = tuple[TimeKind, str, str, str]


def time_table(requests: Sequence[Request]) -> tuple[TimeRow, ...]:
    """Return where the requests' time goes, the largest share first."""
    sums: dict[_Key, _Sums] = defaultdict(_Sums)
    for number, request in enumerate(requests):
        counted: set[tuple[str, TimeKind]] = set()
        for kind, node, seconds in _parts(request):
            row = sums[_key(kind, node)]
            row.on_path[number] += seconds
            if (node.span.span_id, kind) not in counted:
                counted.add((node.span.span_id, kind))
                row.calls += 1
    rows = [_row(key, each, requests) for key, each in sums.items()]
    return tuple(sorted(rows, key=lambda row: (-row.share.value, row.kind, row.service, row.operation, row.peer)))


def place_of_most_time(rows: Sequence[TimeRow], requests: Sequence[Request]) -> Place | None:
    """Return the row with most time, or the service whose own code takes more than any other row; None without rows."""
    if not rows:
        return None
    largest = rows[0]
    own: dict[str, float] = defaultdict(float)
    for row in rows:
        if row.kind is TimeKind.CODE:
            own[row.service] += row.share.value
    service = max(own, key=lambda name: (own[name], name), default="")
    if service and own[service] > largest.share.value:
        share = share_of_time(_own_seconds(service, requests), requests)
        return Place(f"own code of {service}", service, "", share)
    return Place(largest.name, largest.service, largest.operation, largest.share)


def share_of_time(seconds: Sequence[float], requests: Sequence[Request]) -> Estimate:
    """Return the share of all requests' time that these seconds of each request are, with its 90 % interval."""
    return _share(dict(enumerate(seconds)), requests)


def _own_seconds(service: str, requests: Sequence[Request]) -> list[float]:
    return [
        sum(
            seconds for kind, node, seconds in _parts(request) if kind is TimeKind.CODE and node.span.service == service
        )
        for request in requests
    ]


def _parts(request: Request) -> Iterator[tuple[TimeKind, Node, float]]:
    """Yield the parts of a request's critical path: what it waited for, the span of that, and seconds.

    The time that a call waited for its connection is taken from the call's span or, if that is far shorter, from the
    code before it: instrumentations differ in where a call begins.
    """
    before: tuple[TimeKind, Node, float] | None = None
    waiting = {node.span.span_id: _waited_seconds(node.span) for node in request.waited_for()}
    for segment in request.path:
        kind, node, seconds = _kind(segment), segment.node, segment.duration_nanoseconds / _NANOSECONDS
        waited = waiting.pop(node.span.span_id, 0.0)
        if waited and kind is TimeKind.CALL and waited <= 2 * seconds:
            waited = min(waited, seconds)
            yield TimeKind.WAIT, node, waited
            seconds -= waited
        elif waited and before and before[0] is TimeKind.CODE:
            waited = min(waited, before[2])
            yield TimeKind.WAIT, node, waited
            before = before[0], before[1], before[2] - waited
        if before:
            yield before
        before = kind, node, seconds
    if before:
        yield before


def _kind(segment: PathSegment) -> TimeKind:
    if segment.where is not Where.SELF:
        return TimeKind.TRANSIT
    is_call = segment.node.span.kind in _CALLS and _served_by(segment.node) is None
    return TimeKind.CALL if is_call else TimeKind.CODE


def _served_by(call: Node) -> Span | None:
    return next((child.span for child in call.children if child.span.kind is SpanKind.SERVER), None)


def _waited_seconds(span: Span) -> float:
    waited = span.attributes.get(_WAIT_TIME)
    return max(0.0, float(waited)) if isinstance(waited, int | float) else 0.0


def _key(kind: TimeKind, node: Node) -> _Key:
    span = node.span
    return kind, span.service, summary_of(span) if is_database_call(span) else operation_of(span), _peer(kind, node)


def _peer(kind: TimeKind, node: Node) -> str:
    if kind is TimeKind.CODE:
        return ""
    if served := _served_by(node):
        return served.service
    return database_system(node.span)


def _row(key: _Key, sums: _Sums, requests: Sequence[Request]) -> TimeRow:
    kind, service, operation, peer = key
    seconds = sum(sums.on_path.values())
    return TimeRow(
        name=_name(kind, f"{operation} of {service}", service, peer),
        kind=kind,
        service=service,
        operation=operation,
        peer=peer,
        requests=len(sums.on_path),
        calls_per_request=sums.calls / len(requests),
        seconds_per_call=seconds / sums.calls,
        seconds=seconds,
        share=_share(sums.on_path, requests),
    )


def _name(kind: TimeKind, operation: str, service: str, peer: str) -> str:
    match kind:
        case TimeKind.CODE:
            return f"own code in {operation}"
        case TimeKind.CALL:
            return operation if peer in {"", service} else f"{operation} ({peer})"
        case TimeKind.TRANSIT:
            return f"way to {peer} and back in {operation}"
        case TimeKind.WAIT:
            return f"wait for a connection before {operation}"


def _share(seconds: dict[int, float], requests: Sequence[Request]) -> Estimate:
    """Return a ratio of sums with the interval of a ratio estimator (Cochran 1977, 6.4), within 0 and 1.

    With one request the interval is everything.
    """
    whole, count = total_seconds(requests), len(requests)
    share = sum(seconds.values()) / whole
    if count < 2:
        return Estimate(share, 0.0, 1.0)
    squares = sum((seconds.get(number, 0.0) - share * each.seconds) ** 2 for number, each in enumerate(requests))
    error = (squares * count / (count - 1)) ** 0.5 / whole
    reach = student_t_quantile((1 + _CONFIDENCE) / 2, count - 1) * error
    return Estimate(share, max(0.0, share - reach), min(1.0, share + reach))
