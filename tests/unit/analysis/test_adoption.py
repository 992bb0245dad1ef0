"""Adoption of spans whose parent context was lost, against its definition."""

import random

from observability.analysis.clock_skew import repair
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import build_traces
from tests.each import for_each


@for_each(range(300))
def test_a_span_is_adopted_by_the_shortest_leaf_around_it(seed: int) -> None:
    source = random.Random(seed)
    siblings = [_sibling(number, source) for number in range(source.randint(1, 14))]
    root = Span("t", "root", "", "root", SpanKind.SERVER, "shop", 0, 40)
    [trace] = build_traces([root, *siblings]).traces
    parents = {node.span.span_id: node.span.parent_span_id for node in repair(trace.roots[0]).root.walk()}
    in_order = sorted(siblings, key=lambda span: (span.start_nanoseconds, -span.end_nanoseconds, span.span_id))
    assert {span.span_id: parents[span.span_id] for span in siblings} == {
        span.span_id: _adopter(span, in_order) for span in siblings
    }


def _sibling(number: int, source: random.Random) -> Span:
    start = source.randint(0, 12)
    kind = source.choice([kind for kind in SpanKind if kind is not SpanKind.CONSUMER])
    end = start + source.choice((0, 1, 2, 3, 5, 8, 13, 20))
    return Span("t", f"s{number:02}", "root", "sibling", kind, "shop", start, end)


def _adopter(span: Span, in_order: list[Span]) -> str:
    able = [leaf for leaf in in_order[: in_order.index(span)] if _may_adopt(leaf, span)]
    return min(able, key=lambda leaf: leaf.duration_nanoseconds).span_id if able else "root"


def _may_adopt(leaf: Span, span: Span) -> bool:
    """Return whether a leaf ran longer and around a span, beyond its start; a client span adopts no other."""
    if leaf.kind not in {SpanKind.INTERNAL, SpanKind.CLIENT} or leaf.kind == span.kind == SpanKind.CLIENT:
        return False
    return (
        leaf.end_nanoseconds >= span.end_nanoseconds
        and leaf.end_nanoseconds > span.start_nanoseconds
        and leaf.start_nanoseconds < span.end_nanoseconds
        and leaf.duration_nanoseconds > span.duration_nanoseconds
    )
