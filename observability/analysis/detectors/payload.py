"""Detector of large payloads: calls whose time grows with the rows or bytes that they carry, and that carry many.

The size is that of the call itself, or the rows of the largest statement below it. The fix limits it to a page of a
list. The growth is measured across calls of different sizes; nothing is found where all calls have the same size.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.detectors.starts import operation_called
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, seconds, total_seconds
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_ROWS = ("db.response.returned_rows", "db.rows_affected")
_BYTES = (
    "http.response.body.size", "http.response_content_length", "http.request.body.size", "http.request_content_length",
    "messaging.message.body.size", "messaging.message_payload_size_bytes",
)  # fmt: skip
_SIZES = frozenset({*_ROWS, *_BYTES})
# A page of a list holds this much; less is no large payload.
_USUAL = {"rows": 100, "bytes": 65_536}
# With fewer calls a growth may be chance. The rank correlation (Kendall) must exceed this many standard deviations: one
# of many tested operations exceeds fewer by chance.
_FEWEST_CALLS = 30
_LEAST_DEVIATIONS = 3.5
# All pairs of so many calls are compared.
_MOST_COMPARED = 300
# An outer call is named instead of the call below it only if its fix saves this many times as much.
_LEAST_GAIN_OVER_INNER = 1.2
# How many rows or bytes are needed is unknown, so the gain may be half of the assumed one.
_MODEL_ERROR = 0.5


@dataclass(frozen=True, slots=True)
class _Call:
    """A call on the path of a request, by its index, and how many rows or bytes it carries."""

    request: int
    node: Node
    size: float
    unit: str


@dataclass(frozen=True, slots=True)
class Growing:
    """An operation whose calls take longer the more they carry.

    unit: "rows" or "bytes".
    mean_size: of a call.
    saved: for each request, the seconds due to the size beyond a usual one.
    spans: ids of the calls, and of all that is below them.
    """

    service: str
    operation: str
    unit: str
    mean_size: float
    saved: tuple[float, ...]
    spans: frozenset[str]

    def sentence(self, requests: Sequence[Request]) -> str:
        """Return how much of the time grows with what is carried."""
        share = sum(self.saved) / total_seconds(requests)
        return (
            f"{self.operation!r} of {self.service} takes the longer, the more {self.unit} it carries, "
            f"{self.mean_size:,.0f} on average: {share:.0%} of the requests' time grows with them"
        )


def find_payload(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each operation that carries much and takes the longer; the fix carries a usual size."""
    return [
        Candidate(
            bottleneck=Bottleneck.PAYLOAD,
            service=each.service,
            operation=each.operation,
            saving=Saving(work=(0.0,) * len(requests), wait=each.saved, model_error=_MODEL_ERROR),
            evidence=(each.sentence(requests),),
            trace_ids=_longest(each, requests),
            predictor=f"path: a call carries {_USUAL[each.unit]:,} {each.unit} at most",
        )
        for each in growing_calls(requests)
    ]


def growing_calls(requests: Sequence[Request]) -> list[Growing]:
    """Return the operations whose calls grow with what they carry, the outermost where several are of one payload."""
    found = [
        growing
        for (service, operation, unit), calls in _calls(requests).items()
        if (growing := _growing(service, operation, unit, calls, len(requests))) is not None
    ]
    kept: list[Growing] = []
    for each in sorted(found, key=lambda growing: len(growing.spans)):
        inner = [other for other in kept if other.spans < each.spans]
        if any(sum(each.saved) < _LEAST_GAIN_OVER_INNER * sum(other.saved) for other in inner):
            continue
        kept = [other for other in kept if other not in inner]
        kept.append(each)
    return kept


def _calls(requests: Sequence[Request]) -> Mapping[tuple[str, str, str], list[_Call]]:
    """Return the calls on the paths that carry something, by service, operation and unit."""
    calls: dict[tuple[str, str, str], list[_Call]] = defaultdict(list)
    for number, request in enumerate(requests):
        for node, size, unit in _carrying(request):
            calls[node.span.service, operation_called(node), unit].append(_Call(number, node, size, unit))
    return calls


def _carrying(request: Request) -> Iterator[tuple[Node, float, str]]:
    """Yield the calls that a request waits for, with size and unit: of the call, else the most of those below."""
    if all(_SIZES.isdisjoint(node.span.attributes) for node in request.nodes):
        return
    carried: dict[str, tuple[float, str]] = {}
    waited_for = {node.span.span_id for node in request.waited_for()}
    for node in reversed(request.nodes):
        span_id, below = node.span.span_id, [child.span.span_id for child in node.children]
        if not waited_for.isdisjoint(below):
            waited_for.add(span_id)
        if largest := _size(node.span) or max((carried[each] for each in below if each in carried), default=None):
            carried[span_id] = largest
            if node.span.kind is SpanKind.CLIENT and span_id in waited_for:
                yield node, *largest


def _size(span: Span) -> tuple[float, str] | None:
    if _SIZES.isdisjoint(span.attributes):
        return None
    for unit, names in (("rows", _ROWS), ("bytes", _BYTES)):
        known = [size for name in names if isinstance(size := span.attributes.get(name), int | float)]
        if known:
            return float(max(known)), unit
    return None


def _growing(service: str, operation: str, unit: str, calls: Sequence[_Call], requests: int) -> Growing | None:
    mean_size = fmean(each.size for each in calls)
    if len(calls) < _FEWEST_CALLS or mean_size < _USUAL[unit]:
        return None
    slope = _seconds_per_unit(calls)
    if slope is None:
        return None
    saved = [0.0] * requests
    for each in calls:
        saved[each.request] += min(seconds([each.node]), slope * max(0.0, each.size - _USUAL[unit]))
    spans = frozenset(node.span.trace_id + node.span.span_id for each in calls for node in each.node.walk())
    return Growing(service, operation, unit, mean_size, tuple(saved), spans)


def _seconds_per_unit(calls: Sequence[_Call]) -> float | None:
    """Return the median slope over all pairs of calls (Theil and Sen); None where time does not surely grow."""
    step = math.ceil(len(calls) / _MOST_COMPARED)
    points = [(each.size, seconds([each.node])) for each in calls[::step]]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if a[0] != b[0]]
    if not slopes:
        return None
    count = len(points)
    concordance = sum((slope > 0) - (slope < 0) for slope in slopes)
    # Kendall's rank correlation: the variance without ties, which is the larger one.
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return median(slopes) if concordance >= _LEAST_DEVIATIONS * deviation else None


def _longest(growing: Growing, requests: Sequence[Request], count: int = 3) -> tuple[str, ...]:
    longest = sorted(range(len(requests)), key=lambda number: -growing.saved[number])[:count]
    return tuple(requests[number].root.span.trace_id for number in longest)
