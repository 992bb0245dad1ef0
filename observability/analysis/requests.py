"""What did each request wait for? The traces of the operation that takes most time, each with its critical path."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from observability.analysis.clock_skew import repair
from observability.analysis.critical_path import PathSegment, critical_path
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node, Trace

_NANOSECONDS = 1e9
# A trace that begins so was set off by something else: nobody waits for its end.
_NOBODY_WAITS = frozenset({SpanKind.CONSUMER, SpanKind.PRODUCER})


@dataclass(frozen=True, slots=True)
class Request:
    """One request: its repaired tree, and the stretches of time that its answer waited for.

    `wasted_nanoseconds` is the time that what it called worked on after their caller had ended: for nobody.
    """

    root: Node
    path: tuple[PathSegment, ...]
    wasted_nanoseconds: int = 0

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.root.span.duration_nanoseconds / _NANOSECONDS

    def waited_for(self) -> Iterator[Node]:
        """Give the spans on the path, each once, in order."""
        seen: set[str] = set()
        for segment in self.path:
            if segment.node.span.span_id not in seen:
                seen.add(segment.node.span.span_id)
                yield segment.node

    def seconds_below(self, top: Node) -> float:
        """Give the time on the path that a span and all below it took."""
        below = {node.span.span_id for node in top.walk()}
        on_path = (each.duration_nanoseconds for each in self.path if each.node.span.span_id in below)
        return sum(on_path) / _NANOSECONDS


def requests_of(traces: Iterable[Trace]) -> tuple[Request, ...]:
    """Give the whole requests of the operation on which most time was spent; none when there are none.

    Where servers began traces, only these count: workers' traces are not requests.
    """
    roots = [trace.roots[0] for trace in traces if trace.whole and trace.roots[0].span.kind not in _NOBODY_WAITS]
    served = [root for root in roots if root.span.kind is SpanKind.SERVER]
    by_operation: dict[tuple[str, str], list[Node]] = defaultdict(list)
    for root in served or roots:
        by_operation[root.span.service, root.span.name].append(root)
    if not by_operation:
        return ()
    most = max(by_operation.values(), key=lambda group: sum(each.span.duration_nanoseconds for each in group))
    return tuple(_request(root) for root in most)


def whole_seconds(requests: Iterable[Request]) -> float:
    """Add up how long requests took, a nanosecond at least: it is divided by."""
    return sum(request.seconds for request in requests) or 1 / _NANOSECONDS


def rate_per_second(requests: Sequence[Request]) -> float | None:
    """Give how many requests began in a second; None where they all began at once."""
    began = [request.root.span.start_nanoseconds for request in requests]
    spanned = max(began) - min(began)
    return (len(began) - 1) * _NANOSECONDS / spanned if spanned else None


def seconds(nodes: Iterable[Node]) -> float:
    """Add up how long spans took."""
    return sum(node.span.duration_nanoseconds for node in nodes) / _NANOSECONDS


def is_database_call(span: Span) -> bool:
    """Say whether a span is a call of a database, by its attributes."""
    return span.kind is SpanKind.CLIENT and ("db.system.name" in span.attributes or "db.system" in span.attributes)


def is_transaction_control(span: Span) -> bool:
    """Say whether a database span only begins or ends a transaction."""
    return _first_word(span) in {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "START"}


def begins_a_transaction(span: Span) -> bool:
    """Say whether a database span begins a transaction."""
    return _first_word(span) in {"BEGIN", "START"}


def summary_of(span: Span) -> str:
    """Give what tells a statement from others: its summary, else its text, else the span's name."""
    for name in ("db.query.summary", "db.query.text", "db.statement"):
        if isinstance(found := span.attributes.get(name), str) and found:
            return found
    return span.name


def ends_a_change(span: Span) -> bool:
    """Say whether a database span makes a change last: a COMMIT, or a change outside a transaction."""
    return _first_word(span) in {"COMMIT", "INSERT", "UPDATE", "DELETE", "MERGE"}


def longest(requests: Sequence[Request], count: int = 3) -> tuple[str, ...]:
    """Give the trace ids of the slowest requests."""
    slowest = sorted(requests, key=lambda each: -each.seconds)[:count]
    return tuple(each.root.span.trace_id for each in slowest)


def _request(root: Node) -> Request:
    repaired = repair(root)
    return Request(repaired.root, critical_path(repaired.root), repaired.wasted_nanoseconds)


def _first_word(span: Span) -> str:
    operation = span.attributes.get("db.operation.name") or span.name
    return str(operation).split(" ", 1)[0].upper()
