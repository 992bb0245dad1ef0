"""Time from a request until all consumers have processed its messages, measured along the links between spans.

Each process measures with its own clock: clock skew between processes shifts these times.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from observability.analysis.conventions.operations import operation_of
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node, Trace

_NANOSECONDS = 1e9
# A growing time to effect is detected by comparing quarters of the requests, each of at least so many.
_QUARTERS = 4
_FEWEST_PER_QUARTER = 10
_SECONDS_FROM = 10

Operation = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Time from the start of a request until a consumer, the span `operation` of a service, had processed it.

    requests: number of requests that the consumer processed, each measured at the end of its last span.
    unseen: requests without such a span: still waiting, or not for this consumer.
    seconds_p50, seconds_p95: quantiles of the time to effect.
    grows: whether the consumer falls further and further behind the answers; a constant lag does not grow.
    """

    service: str
    operation: str
    requests: int
    unseen: int
    seconds_p50: float
    seconds_p95: float
    grows: bool

    def sentence(self) -> str:
        """Return the figures as one sentence."""
        times = f"p50 {_time_text(self.seconds_p50)}, p95 {_time_text(self.seconds_p95)}"
        growing = ", and it grows" if self.grows else ""
        return f"time to effect: {times} at {self.operation} of {self.service} ({self.requests}){growing}"


def effects_of(requests: Sequence[Request], traces: Iterable[Trace]) -> tuple[Effect, ...]:
    """Return the time to effect at each consumer that requests reached, the longest first.

    A consumer span counts for each request that it descends from or that one of its links points to. So does a linked
    root span of another kind, except a server's, whose caller waits. What follows from these spans counts as well: from
    a batch, for all requests with a message in it. `traces` are those that may hold the requests' asynchronous work.
    """
    link_index = _link_index(traces)
    reached: dict[Operation, list[_EffectTime]] = defaultdict(list)
    for request in requests:
        for operation, ended in _last_ends(request.root, link_index).items():
            reached[operation].append(_EffectTime(request.root.span, ended))
    found = (_effect(operation, times, len(requests)) for operation, times in reached.items())
    return tuple(sorted(found, key=lambda each: (-each.seconds_p95, -each.seconds_p50, each.service, each.operation)))


@dataclass(frozen=True, slots=True)
class _EffectTime:
    """A request, and when one consumer had processed it, in nanoseconds since the Unix epoch."""

    request_span: Span
    ended: int

    @property
    def seconds(self) -> float:
        return max(0, self.ended - self.request_span.start_nanoseconds) / _NANOSECONDS

    @property
    def seconds_beyond_the_answer(self) -> float:
        return (self.ended - self.request_span.end_nanoseconds) / _NANOSECONDS


class _LinkIndex:
    """Nodes by the trace and by the span that they link to."""

    def __init__(self) -> None:
        self.to_trace: dict[str, list[Node]] = defaultdict(list)
        self.to_span: dict[tuple[str, str], list[Node]] = defaultdict(list)

    def add(self, node: Node) -> None:
        """Add the links of a node."""
        for trace_id in {link.trace_id for link in node.span.links}:
            self.to_trace[trace_id].append(node)
        for link in set(node.span.links):
            self.to_span[link.trace_id, link.span_id].append(node)


def _link_index(traces: Iterable[Trace]) -> _LinkIndex:
    link_index = _LinkIndex()
    for trace in traces:
        for top in (*trace.roots, *trace.orphans):
            for node in top.walk():
                if node.span.links and takes_effect(node):
                    link_index.add(node)
    return link_index


def takes_effect(node: Node) -> bool:
    """Return whether a span with links processes work that a request left for later."""
    kind = node.span.kind
    return kind is SpanKind.CONSUMER or (not node.span.parent_span_id and kind is not SpanKind.SERVER)


def _last_ends(root: Node, link_index: _LinkIndex) -> dict[Operation, int]:
    """Return the end of each consumer's last span that follows from a request, in nanoseconds."""
    ends: dict[Operation, int] = {}
    known = {(root.span.trace_id, root.span.span_id)}
    found = [*_consumers_below(root), *link_index.to_trace.get(root.span.trace_id, ())]
    while found:
        node = found.pop()
        span = node.span
        if (span.trace_id, span.span_id) in known:
            continue
        known.add((span.trace_id, span.span_id))
        operation = span.service, operation_of(span)
        ends[operation] = max(ends.get(operation, 0), span.end_nanoseconds)
        for below in node.walk():
            found.extend(link_index.to_span.get((below.span.trace_id, below.span.span_id), ()))
            if below.span.kind is SpanKind.CONSUMER:
                found.append(below)
    return ends


def _consumers_below(root: Node) -> Iterator[Node]:
    return (node for node in root.walk() if node.span.kind is SpanKind.CONSUMER)


def _effect(operation: Operation, reached: Sequence[_EffectTime], requests: int) -> Effect:
    seconds = sorted(each.seconds for each in reached)
    in_order = sorted(reached, key=lambda each: (each.request_span.start_nanoseconds, each.ended))
    service, name = operation
    return Effect(
        service=service,
        operation=name,
        requests=len(reached),
        unseen=requests - len(reached),
        seconds_p50=quantile(seconds, 0.50),
        seconds_p95=quantile(seconds, 0.95),
        grows=grows([each.seconds_beyond_the_answer for each in in_order]),
    )


def grows(seconds: Sequence[float], *, fewest: int = _FEWEST_PER_QUARTER) -> bool:
    """Return whether the median rises from quarter to quarter, and that of the last is above p95 of the first.

    With fewer than `fewest` in a quarter it is unknown.
    """
    size = len(seconds) // _QUARTERS
    if size < fewest:
        return False
    quarters = [sorted(seconds[number * size : (number + 1) * size]) for number in range(_QUARTERS)]
    middles = [median(quarter) for quarter in quarters]
    return middles == sorted(set(middles)) and middles[-1] > quantile(quarters[0], 0.95)


def _time_text(seconds: float) -> str:
    """Return the time as text, in milliseconds below ten seconds."""
    return f"{seconds * 1e3:.0f} ms" if seconds < _SECONDS_FROM else f"{seconds:.1f} s"
