"""Span trees: builds the tree of each trace, and reports roots, orphans and duplicates of incomplete ones."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from observability.analysis.conventions.kinds import begins_request, with_kinds
from observability.analysis.spans import SharedFacts, Span


@dataclass(frozen=True, slots=True)
class Node:
    """A span and its child nodes, sorted by start time."""

    span: Span
    children: tuple["Node", ...]

    def walk(self) -> Iterator["Node"]:
        """Yield this node and its descendants, parents before children, siblings in order."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans of one trace, as trees.

    roots: nodes without a parent id, and those that begin anew (see `conventions.kinds`).
    orphans: nodes whose parent was not recorded, or is their own descendant.
    spans: number of spans in the trace.
    """

    trace_id: str
    roots: tuple[Node, ...]
    orphans: tuple[Node, ...]
    spans: int

    @property
    def whole(self) -> bool:
        """Whether the trace is one complete tree."""
        return len(self.roots) == 1 and not self.orphans


@dataclass(frozen=True, slots=True)
class Forest:
    """Traces sorted by their first start, and the number of duplicate spans that were dropped."""

    traces: tuple[Trace, ...]
    duplicates: int


def build_traces(spans: Iterable[Span]) -> Forest:
    """Build the tree of each trace; every span is placed exactly once, even where parent ids form a cycle.

    A span that records no kind gets the one that its attributes and its neighbours tell.
    """
    by_trace: dict[str, dict[str, Span]] = defaultdict(dict)
    seen = 0
    for span in spans:
        seen += 1
        by_trace[span.trace_id].setdefault(span.span_id, span)
    in_order = [(trace_id, sorted(members.values(), key=_order)) for trace_id, members in by_trace.items()]
    in_order.sort(key=lambda trace: _order(trace[1][0]))
    facts = SharedFacts()
    traces = tuple(_trace(trace_id, members, facts) for trace_id, members in in_order)
    return Forest(traces, seen - sum(trace.spans for trace in traces))


def _order(span: Span) -> tuple[int, int, str]:
    """Return a sort key: by start, and the longer first of two that start together, as a caller does."""
    return span.start_nanoseconds, -span.end_nanoseconds, span.span_id


def _trace(trace_id: str, spans: Sequence[Span], facts: SharedFacts) -> Trace:
    known = {span.span_id: span for span in spans}
    children = _children(spans)
    for span in spans:
        facts.share(span)
    if kinds := with_kinds(spans, known, children):
        for span in kinds.values():
            facts.share(span)
        spans = [kinds.get(span.span_id, span) for span in spans]
        children = _children(spans)
    anew = [
        span
        for span in spans
        if (parent := known.get(span.parent_span_id)) is not None and begins_request(span, parent)
    ]
    if anew:
        begun = {span.span_id for span in anew}
        children = _children(span for span in spans if span.span_id not in begun)
    roots = [*(span for span in spans if not span.parent_span_id), *anew]
    orphans = [span for span in spans if span.parent_span_id and span.parent_span_id not in known]
    placed = {span.span_id for top in (*roots, *orphans) for span in _below(top, children)}
    for span in spans:
        # An unplaced span belongs to a cycle of parents. Its earliest span becomes an orphan, which breaks the cycle.
        if span.span_id not in placed:
            children[span.parent_span_id].remove(span)
            orphans.append(span)
            placed.update(each.span_id for each in _below(span, children))
    return Trace(
        trace_id=trace_id,
        roots=tuple(_node(span, children) for span in roots),
        orphans=tuple(_node(span, children) for span in orphans),
        spans=len(spans),
    )


def _children(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """Return the spans by the id of their parent."""
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent_span_id].append(span)
    return children


def _below(top: Span, children: dict[str, list[Span]]) -> list[Span]:
    """Return the span and its descendants, parents first."""
    found = [top]
    for span in found:
        found.extend(children.get(span.span_id, ()))
    return found


def _node(top: Span, children: dict[str, list[Span]]) -> Node:
    """Build the tree bottom up and without recursion: a trace may be deeper than Python's stack."""
    built: dict[str, Node] = {}
    for span in reversed(_below(top, children)):
        built[span.span_id] = Node(span, tuple(built[child.span_id] for child in children.get(span.span_id, ())))
    return built[top.span_id]
