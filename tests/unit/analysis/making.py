"""Builders of spans and span trees for tests, from given or random times."""

import random
from dataclasses import replace

from hypothesis import strategies as st

from observability.analysis.spans import Attribute, Span, SpanKind, SpanStatus
from observability.analysis.trees import Node, build_traces

MILLISECOND = 1_000_000
_ENDINGS: tuple[tuple[dict[str, Attribute], SpanStatus], ...] = (
    ({}, SpanStatus.UNSET),
    ({}, SpanStatus.ERROR),
    ({"error.type": "TimeoutError"}, SpanStatus.ERROR),
    ({"http.request.resend_count": 1}, SpanStatus.UNSET),
)


def span(span_id: str, parent: str = "", *, start: float = 0, end: float = 1, trace: str = "t", name: str = "") -> Span:
    """One span; times in milliseconds."""
    return Span(
        trace_id=trace,
        span_id=span_id,
        parent_span_id=parent,
        name=name or span_id,
        kind=SpanKind.INTERNAL,
        service="some-service",
        start_nanoseconds=round(start * MILLISECOND),
        end_nanoseconds=round(end * MILLISECOND),
    )


@st.composite
def any_spans(draw: st.DrawFn) -> list[Span]:
    """Spans of a few traces with any parents: missing ones, themselves, rings, duplicates."""
    ids = st.sampled_from("abcdefgh")
    times = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)
    found = draw(st.lists(st.tuples(st.sampled_from("tu"), ids, st.just("") | ids | st.just("missing"), times)))
    return [span(own, parent, start=start, end=end, trace=trace) for trace, own, parent, (start, end) in found]


@st.composite
def sequential_trees(draw: st.DrawFn) -> list[Span]:
    """One whole tree in which children lie within their parents and one after the other."""
    cuts = draw(st.lists(st.integers(1, 1_000), min_size=1, max_size=60, unique=True).map(sorted))
    spans = [span("0", start=0, end=1_001)]
    free = [(0, 0, 1_001)]
    for at, cut in enumerate(cuts, start=1):
        parent, start, end = free.pop(draw(st.integers(0, len(free) - 1)))
        if not start < cut < end:
            free.append((parent, start, end))
            continue
        spans.append(span(str(at), str(parent), start=start, end=cut))
        free += [(at, start, cut), (parent, cut, end)]
    return spans


def node(
    name: str, start: int, end: int, *children: Node, kind: SpanKind = SpanKind.INTERNAL, service: str = "shop"
) -> Node:
    """Return a span with others below it, called what its id is; times in nanoseconds."""
    own = Span("t", name, "", name, kind, service, start, end)
    return Node(own, tuple(Node(replace(child.span, parent_span_id=name), child.children) for child in children))


def client(name: str, start: int, end: int, *children: Node) -> Node:
    """Return a call out of the shop."""
    return node(name, start, end, *children, kind=SpanKind.CLIENT)


def server(name: str, start: int, end: int, *children: Node, service: str = "stock") -> Node:
    """Return a call as its server saw it."""
    return node(name, start, end, *children, kind=SpanKind.SERVER, service=service)


def times(root: Node) -> dict[str, tuple[int, int]]:
    """When each span of a tree ran, by name."""
    return {each.span.name: (each.span.start_nanoseconds, each.span.end_nanoseconds) for each in root.walk()}


def random_tree(source: random.Random) -> Node:
    """Return a tree of up to 14 spans of three services whose clocks disagree; a child may outlast its parent.

    Some fail, a few of these by their deadline, and some are marked as retries. Times are small, so
    that equal ones, overlaps and empty spans are frequent; now and then a clock was set back.
    """
    clocks = {service: source.choice((0, 0, -3, 40)) for service in ("shop", "stock", "mail")}
    starts = [0]
    spans = [Span("t", "0", "", "0", source.choice(list(SpanKind)), "shop", 0, source.randint(0, 20))]
    for at in range(1, source.randint(1, 14)):
        parent = source.randrange(at)
        service = source.choice((spans[parent].service, *clocks))
        starts.append(starts[parent] + source.randint(-2, 12))
        start = starts[at] + clocks[service]
        end = start + source.choice((-1, 0, *range(1, 13)))
        name, kind = source.choice("ab"), source.choice(list(SpanKind))
        attributes, status = source.choice(_ENDINGS)
        spans.append(Span("t", str(at), str(parent), name, kind, service, start, end, attributes, status))
    [trace] = build_traces(spans).traces
    return trace.roots[0]
