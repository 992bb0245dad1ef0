"""Waterfall of a trace: a row with a bar for each span, for a terminal or a page."""

from collections.abc import Sequence
from dataclasses import dataclass

from observability.analysis.spans import Span
from observability.analysis.trees import Node

_FULL = "█"
# The part of a bar in which a child ran.
_PALE = "░"


@dataclass(frozen=True, slots=True)
class BarSegment:
    """A part of the time line; start and width are shares (0 to 1) of the root's duration."""

    start: float
    width: float


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One span of a waterfall.

    depth: number of ancestors.
    offset_nanoseconds: from the root's start.
    self_nanoseconds: the part of the duration in which no child ran.
    bar: the whole span on the time line.
    own: the parts of the bar that are self time.
    """

    depth: int
    span: Span
    offset_nanoseconds: int
    duration_nanoseconds: int
    self_nanoseconds: int
    bar: BarSegment
    own: tuple[BarSegment, ...]


def flatten(root: Node) -> list[SpanRow]:
    """Return a row for each span, parents before children; a bar is clipped to the root's duration."""
    rows: list[SpanRow] = []
    stack = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        rows.append(_row(node, depth, root.span))
        stack.extend((child, depth + 1) for child in reversed(node.children))
    return rows


def self_nanoseconds(node: Node) -> int:
    """Return the part of the span's duration in which none of its children ran."""
    return sum(end - start for start, end in _own_stretches(node))


def bar_text(bar: BarSegment, own: Sequence[BarSegment], columns: int) -> str:
    """Draw a row's bar with block characters: solid for self time, pale where children ran; at least one character."""
    own_cells = [_cells(each, columns) for each in own]
    start, end = _cells(bar, columns)
    first = min(int(start), columns - 1)
    last = max(first + 1, round(end))
    marks = (_mark(cell, (start, end), own_cells) for cell in range(first, last))
    return " " * first + "".join(marks)


def _row(node: Node, depth: int, root: Span) -> SpanRow:
    span = node.span
    own = _own_stretches(node)
    return SpanRow(
        depth=depth,
        span=span,
        offset_nanoseconds=span.start_nanoseconds - root.start_nanoseconds,
        duration_nanoseconds=span.duration_nanoseconds,
        self_nanoseconds=sum(end - start for start, end in own),
        bar=_segment(span.start_nanoseconds, span.start_nanoseconds + span.duration_nanoseconds, root),
        own=tuple(_segment(start, end, root) for start, end in own),
    )


def _own_stretches(node: Node) -> list[tuple[int, int]]:
    """Return the span's time without the union of its children's times, as (start, end)."""
    stretches = []
    at = node.span.start_nanoseconds
    end = at + node.span.duration_nanoseconds
    for child in sorted(node.children, key=lambda child: child.span.start_nanoseconds):
        child_start = min(child.span.start_nanoseconds, end)
        if child_start > at:
            stretches.append((at, child_start))
        at = max(at, child.span.start_nanoseconds + child.span.duration_nanoseconds)
    if at < end:
        stretches.append((at, end))
    return stretches


def _segment(start: int, end: int, root: Span) -> BarSegment:
    whole = root.duration_nanoseconds
    if not whole:
        return BarSegment(0.0, 0.0)
    first, last = (min(max((each - root.start_nanoseconds) / whole, 0.0), 1.0) for each in (start, end))
    return BarSegment(first, last - first)


def _cells(segment: BarSegment, columns: int) -> tuple[float, float]:
    return segment.start * columns, (segment.start + segment.width) * columns


def _mark(cell: int, bar: tuple[float, float], own: Sequence[tuple[float, float]]) -> str:
    """Return the solid character when at least half of the bar's share of this cell is self time."""
    self_share = sum(_overlap(cell, stretch) for stretch in own)
    return _FULL if self_share >= 0.5 * _overlap(cell, bar) else _PALE


def _overlap(cell: int, stretch: tuple[float, float]) -> float:
    start, end = stretch
    return max(0.0, min(end, cell + 1) - max(start, cell))
