"""Which span called which? One tree a trace when all is well; roots, orphans and duplicates when it is not."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from observability.analysis.spans import Span, without_duplicates


@dataclass(frozen=True, slots=True)
class Node:
    """A span and the spans below it, by start time."""

    span: Span
    children: tuple["Node", ...]

    def walk(self) -> Iterator["Node"]:
        """Give this node and all below it, parents before their children, siblings in their order."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans of one trace: below its roots, or below orphans, whose parent is not there (or is below them)."""

    trace_id: str
    roots: tuple[Node, ...]
    orphans: tuple[Node, ...]
    spans: int

    @property
    def whole(self) -> bool:
        """Whether it is one tree."""
        return len(self.roots) == 1 and not self.orphans


@dataclass(frozen=True, slots=True)
class Forest:
    """The traces of some spans, by their first start, and how many spans were there twice."""

    traces: tuple[Trace, ...]
    duplicates: int


def build_traces(spans: Iterable[Span]) -> Forest:
    """Build the tree of each trace; every span is in exactly one place, whatever its parent says."""
    unique = without_duplicates(spans)
    by_trace: dict[str, list[Span]] = defaultdict(list)
    for span in sorted(unique.spans, key=_order):
        by_trace[span.trace_id].append(span)
    return Forest(tuple(_trace(trace_id, members) for trace_id, members in by_trace.items()), unique.duplicates)


def _order(span: Span) -> tuple[int, int, str]:
    """Sort by start; of two that start together the longer comes first, as callers do."""
    return span.start_nanoseconds, -span.end_nanoseconds, span.span_id


def _trace(trace_id: str, spans: Sequence[Span]) -> Trace:
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent_span_id].append(span)
    roots = [span for span in spans if not span.parent_span_id]
    orphans = [span for span in spans if span.parent_span_id and span.parent_span_id not in known]
    placed = {span.span_id for top in (*roots, *orphans) for span in _below(top, children)}
    for span in spans:
        # What is still unplaced hangs on a ring of parents; made an orphan, the earliest span opens it.
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


def _below(top: Span, children: dict[str, list[Span]]) -> list[Span]:
    """Give the span and all below it, parents first."""
    found = [top]
    for span in found:
        found.extend(children.get(span.span_id, ()))
    return found


def _node(top: Span, children: dict[str, list[Span]]) -> Node:
    """Build bottom up, without recursion: a trace may be deeper than Python's stack."""
    built: dict[str, Node] = {}
    for span in reversed(_below(top, children)):
        built[span.span_id] = Node(span, tuple(built[child.span_id] for child in children.get(span.span_id, ())))
    return built[top.span_id]
