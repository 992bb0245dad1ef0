"""Spans for tests: by hand in milliseconds, or random trees."""

from hypothesis import strategies as st

from observability.analysis.spans import Span, SpanKind

MILLISECOND = 1_000_000


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
