"""When had a request taken effect everywhere? The path that no answer waits for: along links, to those who consume.

Every process measures by its own clock: where clocks differ, so do these times.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node, Trace

_NANOSECONDS = 1e9
# Whether time to effect grows is told by quarters of the requests, of so many each.
_QUARTERS = 4
_FEWEST_A_QUARTER = 10
_SECONDS_FROM = 10

Operation = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How long after a request began it had taken effect at a consumer: the span `operation` of a service.

    `requests` were seen to take effect there, each counted at the end of the last span that did so; `unseen` were not:
    they were still waiting, or lead to nothing there. It `grows` when the consumer falls ever further behind the
    answers: a lag that stays the same does not, however long, and neither does one that answers have as well.
    """

    service: str
    operation: str
    requests: int
    unseen: int
    seconds_p50: float
    seconds_p95: float
    grows: bool

    def sentence(self) -> str:
        """Say it in a sentence."""
        times = f"p50 {_time_text(self.seconds_p50)}, p95 {_time_text(self.seconds_p95)}"
        growing = ", and it grows" if self.grows else ""
        return f"time to effect: {times} at {self.operation} of {self.service} ({self.requests}){growing}"


def effects_of(requests: Sequence[Request], traces: Iterable[Trace]) -> tuple[Effect, ...]:
    """Give the consumers that requests reached, those that took longest first.

    A consumer span takes effect for every request that one of its links leads to, or that it is below; so does the root
    of a trace of another kind that links, but for servers, whose callers wait. What these lead to counts as well: of a
    batch, for all whose messages were in it. `traces` are those that the requests' work went on in.
    """
    linking = _linking(traces)
    reached: dict[Operation, list[_Reached]] = defaultdict(list)
    for request in requests:
        for operation, ended in _last_ends(request.root, linking).items():
            reached[operation].append(_Reached(request.root.span, ended))
    found = (_effect(operation, times, len(requests)) for operation, times in reached.items())
    return tuple(sorted(found, key=lambda each: (-each.seconds_p95, -each.seconds_p50, each.service, each.operation)))


@dataclass(frozen=True, slots=True)
class _Reached:
    """A request, and when it had taken effect at one consumer, in nanoseconds."""

    asked: Span
    ended: int

    @property
    def seconds(self) -> float:
        return max(0, self.ended - self.asked.start_nanoseconds) / _NANOSECONDS

    @property
    def seconds_beyond_the_answer(self) -> float:
        return (self.ended - self.asked.end_nanoseconds) / _NANOSECONDS


class _Linking:
    """Who links to what: by trace, and by span."""

    def __init__(self) -> None:
        self.to_trace: dict[str, list[Node]] = defaultdict(list)
        self.to_span: dict[tuple[str, str], list[Node]] = defaultdict(list)

    def add(self, node: Node) -> None:
        """Note what a span links to."""
        for trace_id in {link.trace_id for link in node.span.links}:
            self.to_trace[trace_id].append(node)
        for link in set(node.span.links):
            self.to_span[link.trace_id, link.span_id].append(node)


def _linking(traces: Iterable[Trace]) -> _Linking:
    linking = _Linking()
    for trace in traces:
        for top in (*trace.roots, *trace.orphans):
            for node in top.walk():
                if node.span.links and _takes_effect(node):
                    linking.add(node)
    return linking


def _takes_effect(node: Node) -> bool:
    """Say whether a span that links does what others left to be done."""
    kind = node.span.kind
    return kind is SpanKind.CONSUMER or (not node.span.parent_span_id and kind is not SpanKind.SERVER)


def _last_ends(root: Node, linking: _Linking) -> dict[Operation, int]:
    """Give when the last span of each consumer ended that a request led to, in nanoseconds."""
    ends: dict[Operation, int] = {}
    known = {(root.span.trace_id, root.span.span_id)}
    found = [*_consumers_below(root), *linking.to_trace.get(root.span.trace_id, ())]
    while found:
        node = found.pop()
        span = node.span
        if (span.trace_id, span.span_id) in known:
            continue
        known.add((span.trace_id, span.span_id))
        operation = span.service, span.name
        ends[operation] = max(ends.get(operation, 0), span.end_nanoseconds)
        for below in node.walk():
            found.extend(linking.to_span.get((below.span.trace_id, below.span.span_id), ()))
            if below.span.kind is SpanKind.CONSUMER:
                found.append(below)
    return ends


def _consumers_below(root: Node) -> Iterator[Node]:
    return (node for node in root.walk() if node.span.kind is SpanKind.CONSUMER)


def _effect(operation: Operation, reached: Sequence[_Reached], requests: int) -> Effect:
    seconds = sorted(each.seconds for each in reached)
    in_order = sorted(reached, key=lambda each: (each.asked.start_nanoseconds, each.ended))
    service, name = operation
    return Effect(
        service=service,
        operation=name,
        requests=len(reached),
        unseen=requests - len(reached),
        seconds_p50=quantile(seconds, 0.50),
        seconds_p95=quantile(seconds, 0.95),
        grows=_grows([each.seconds_beyond_the_answer for each in in_order]),
    )


def _grows(seconds: Sequence[float]) -> bool:
    """Say whether each quarter of the requests took longer than the one before, and the last clearly than the first.

    Clearly: half of the last quarter took longer than all but a twentieth of the first.
    """
    size = len(seconds) // _QUARTERS
    if size < _FEWEST_A_QUARTER:
        return False
    quarters = [sorted(seconds[number * size : (number + 1) * size]) for number in range(_QUARTERS)]
    middles = [median(quarter) for quarter in quarters]
    return middles == sorted(set(middles)) and middles[-1] > quantile(quarters[0], 0.95)


def _time_text(seconds: float) -> str:
    """Write milliseconds while these have at most four digits."""
    return f"{seconds * 1e3:.0f} ms" if seconds < _SECONDS_FROM else f"{seconds:.1f} s"
