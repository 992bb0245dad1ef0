"""Time table: the requests' time by what they waited for, with each part's share of all time.

Every nanosecond of every critical path is in exactly one row, so that the shares add up to 1.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from observability.analysis.comparison import Estimate, student_t_quantile
from observability.analysis.conventions.database import acquires_a_connection, database_system, name_of
from observability.analysis.critical_path import PathSegment, Where
from observability.analysis.requests import Request, total_seconds
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node

_NANOSECONDS = 1e9
_CONFIDENCE = 0.90
_CALLS = frozenset({SpanKind.CLIENT, SpanKind.PRODUCER})
# The time that a call waited for its connection before it began; no span covers that time.
_WAIT_TIME = "db.client.connection.wait_time"

# Kind, service, operation and peer of a row.
RowKey = tuple["TimeKind", str, str, str]


class TimeKind(StrEnum):
    """What a request waits for: code of a service, a callee without spans, the transit to a callee, or a connection."""

    CODE = "own code"
    CALL = "call"
    TRANSIT = "transit"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRow:
    """One part of the requests' time.

    name: what the time is spent on, as a reader of the traces would say it.
    service, operation: of the span that the time belongs to; a wait belongs to the call that was to begin, and has no
        operation where a span of its own records it.
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


@dataclass(frozen=True, slots=True)
class TimeTable:
    """The requests' time in rows, the largest share first.

    rows: by operation.
    by_service: the same for each service as a whole: its own code, its calls of each peer, and so on. The operation of
        such a row is empty.
    """

    rows: tuple[TimeRow, ...]
    by_service: tuple[TimeRow, ...]

    def place(self) -> Place | None:
        """Return the row by service with most time, or its largest operation if that is half of it; None without rows.

        So a service is named whose time is spread over many operations.
        """
        if not self.by_service:
            return None
        whole = self.by_service[0]
        parts = (
            row for row in self.rows if (row.kind, row.service, row.peer) == (whole.kind, whole.service, whole.peer)
        )
        part = max(parts, key=lambda row: row.share.value)
        most = part if part.share.value >= whole.share.value / 2 else whole
        return Place(most.name, most.service, most.operation, most.share)


def time_table(requests: Sequence[Request]) -> TimeTable:
    """Return where the requests' time goes."""
    by_operation: dict[RowKey, _Sums] = defaultdict(_Sums)
    by_service: dict[RowKey, _Sums] = defaultdict(_Sums)
    both: dict[RowKey, tuple[_Sums, _Sums]] = {}
    for number, request in enumerate(requests):
        counted: set[tuple[str, TimeKind]] = set()
        for kind, node, seconds in _parts(request):
            span = node.span
            key = _row_key(kind, node)
            if (sums := both.get(key)) is None:
                whole = kind, span.service, "", key[3]
                sums = both[key] = by_operation[key], by_service[whole]
            call = span.span_id, kind
            is_new = call not in counted
            counted.add(call)
            for each in sums:
                each.add(number, seconds, is_new=is_new)
    share_of = _Shares(requests)
    return TimeTable(_rows(by_operation, share_of), _rows(by_service, share_of))


def parts_of(request: Request) -> dict[RowKey, tuple[int, float]]:
    """Return the parts of one request's time by row: how often each occurs, and its seconds on the critical path."""
    counted: set[tuple[str, TimeKind]] = set()
    found: dict[RowKey, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for kind, node, seconds in _parts(request):
        row, call = _row_key(kind, node), (node.span.span_id, kind)
        calls, before = found[row]
        found[row] = calls + (call not in counted), before + seconds
        counted.add(call)
    return found


def row_name(kind: TimeKind, service: str, operation: str, peer: str) -> str:
    """Return what the time of a row is spent on, in words; the operation is empty for a whole service."""
    place = f"{operation} of {service}" if operation else service
    called = peer if peer != service else ""
    match kind:
        case TimeKind.CODE:
            return f"own code in {place}" if operation else f"own code of {service}"
        case TimeKind.CALL if operation:
            return f"{place} ({called})" if called else place
        case TimeKind.CALL:
            return f"all calls of {place} to {called}" if called else f"all calls of {place}"
        case TimeKind.TRANSIT:
            return f"transit to {peer} and back in {place}"
        case TimeKind.WAIT:
            return f"wait for a connection before {place}" if operation else f"wait for a connection in {place}"


def share_of_time(seconds: Sequence[float], requests: Sequence[Request]) -> Estimate:
    """Return the share of all requests' time that these seconds of each request are, with its 90 % interval."""
    return _Shares(requests).of(dict(enumerate(seconds)))


@dataclass(slots=True)
class _Sums:
    """Sums over requests for one row; `on_path` by index of the request, in seconds."""

    calls: int = 0
    on_path: dict[int, float] = field(default_factory=dict)

    def add(self, number: int, seconds: float, *, is_new: bool) -> None:
        self.on_path[number] = self.on_path.get(number, 0.0) + seconds
        self.calls += is_new


def _parts(request: Request) -> Iterator[tuple[TimeKind, Node, float]]:
    """Yield the parts of a request's critical path: what it waited for, the span of that, and seconds.

    The time that a call waited for its connection is taken from the call's span or, if that is far shorter, from the
    code before it: instrumentations differ in where a call begins.
    """
    before: tuple[TimeKind, Node, float] | None = None
    waiting = {
        node.span.span_id: _waited_seconds(node.span)
        for node in request.waited_for()
        if _WAIT_TIME in node.span.attributes
    }
    for segment in request.path:
        kind, node, seconds = _kind(segment), segment.node, segment.duration_nanoseconds / _NANOSECONDS
        if waiting and (waited := waiting.pop(node.span.span_id, 0.0)):
            if kind is TimeKind.CALL and waited <= 2 * seconds:
                waited = min(waited, seconds)
                yield TimeKind.WAIT, node, waited
                seconds -= waited
            elif before and before[0] is TimeKind.CODE:
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
    node = segment.node
    if acquires_a_connection(node.span):
        return TimeKind.WAIT
    is_call = node.span.kind in _CALLS and (not node.children or _served_by(node) is None)
    return TimeKind.CALL if is_call else TimeKind.CODE


def _row_key(kind: TimeKind, node: Node) -> RowKey:
    """Return the row of a part; a span that gets a connection does not tell which call it is for."""
    operation = "" if acquires_a_connection(node.span) else name_of(node.span)
    return kind, node.span.service, operation, _peer(kind, node)


def _served_by(call: Node) -> Span | None:
    return next((child.span for child in call.children if child.span.kind is SpanKind.SERVER), None)


def _waited_seconds(span: Span) -> float:
    waited = span.attributes.get(_WAIT_TIME)
    return max(0.0, float(waited)) if isinstance(waited, int | float) else 0.0


def _peer(kind: TimeKind, node: Node) -> str:
    if kind is TimeKind.CODE:
        return ""
    if node.children and (served := _served_by(node)):
        return served.service
    return database_system(node.span)


def _rows(sums: dict[RowKey, _Sums], share_of: "_Shares") -> tuple[TimeRow, ...]:
    rows = [_row(key, each, share_of) for key, each in sums.items()]
    return tuple(sorted(rows, key=lambda row: (-row.share.value, row.kind, row.service, row.operation, row.peer)))


def _row(key: RowKey, sums: _Sums, share_of: "_Shares") -> TimeRow:
    kind, service, operation, peer = key
    seconds = sum(sums.on_path.values())
    return TimeRow(
        name=row_name(*key),
        kind=kind,
        service=service,
        operation=operation,
        peer=peer,
        requests=len(sums.on_path),
        calls_per_request=sums.calls / share_of.count,
        seconds_per_call=seconds / sums.calls,
        seconds=seconds,
        share=share_of.of(sums.on_path),
    )


class _Shares:
    """Shares of the time of these requests, with the interval of a ratio estimator (Cochran 1977, 6.4)."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._seconds = [request.seconds for request in requests]
        self._whole = total_seconds(requests)
        self._squares = sum(each**2 for each in self._seconds)
        self.count = len(requests)
        degrees = self.count - 1
        self._reach = student_t_quantile((1 + _CONFIDENCE) / 2, degrees) if degrees > 0 else None

    def of(self, seconds: Mapping[int, float]) -> Estimate:
        """Return the share of these seconds, by index of the request; of one request the interval is everything."""
        share = sum(seconds.values()) / self._whole
        if self._reach is None:
            return Estimate(share, 0.0, 1.0)
        # The sum over all requests of (seconds - share * duration) squared; most requests have no seconds.
        squares = sum(each**2 for each in seconds.values()) + share**2 * self._squares
        squares -= 2 * share * sum(each * self._seconds[number] for number, each in seconds.items())
        error = (max(0.0, squares) * self.count / (self.count - 1)) ** 0.5 / self._whole
        reach = self._reach * error
        return Estimate(share, max(0.0, share - reach), min(1.0, share + reach))
