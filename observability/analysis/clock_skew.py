"""Correction of clock skew: moves or clips spans, so that each child lies within its parent.

A service has one clock: a child that exceeds its parent of the same service was cancelled or abandoned, and is clipped.
Two services have two clocks: a callee is moved by the offset between them, as `clock_offsets` estimates it. What still
exceeds its caller ran on without it, and is clipped. What began after its caller's end was not waited for.
Consumers run asynchronously: they and their descendants keep their times.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from observability.analysis.clock_offsets import ClockOffsets, clock_offsets_of
from observability.analysis.span_status import gave_up
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node


@dataclass(frozen=True, slots=True)
class Repaired:
    """A tree in which every child lies within its parent, and the corrections that were needed.

    Consumers do not, and neither do spans of another service that began after their parent's end.

    truncated: spans clipped at their parent's start or end.
    moved: spans of another service that were shifted into their caller's time, each with its descendants.
    wasted_nanoseconds: time clipped after a parent had ended, counted once, with the topmost span that it belongs to.
    """

    root: Node
    truncated: int
    moved: int
    wasted_nanoseconds: int


def repair(root: Node, offsets: ClockOffsets | None = None) -> Repaired:
    """Return the tree with consistent times; without `offsets` these are estimated from the tree alone.

    Siblings that ran within the time of a leaf become its children: their parent context was lost (see `_may_adopt`).
    """
    offsets = offsets or clock_offsets_of([root])
    top = _Placed(root, ran=_time(root.span), clipped=_time(root.span), parent_span_id=root.span.parent_span_id)
    placed = [top]
    for parent in placed:
        children = sorted(_place_children(parent, offsets), key=lambda child: _order(child.clipped, child.node.span))
        for child, adopter in zip(children, _adopters(children), strict=True):
            if adopter:
                child.parent_span_id = adopter.node.span.span_id
            (adopter or parent).children.append(child)
        placed.extend(children)
    # An adopter starts no later and lasts longer than the adopted, so here it comes first, as any parent does.
    built: dict[int, Node] = {}
    for each in reversed(placed):
        built[id(each)] = _build(each, [built[id(child)] for child in each.children])
    return Repaired(
        root=built[id(top)],
        truncated=sum(each.clipped != each.ran for each in placed),
        moved=sum(each.moved for each in placed),
        wasted_nanoseconds=sum(each.wasted_nanoseconds for each in placed),
    )


class _Time(NamedTuple):
    start: int
    end: int

    @property
    def duration(self) -> int:
        return self.end - self.start

    def holds(self, other: "_Time") -> bool:
        return self.start <= other.start and other.end <= self.end

    def moved_by(self, offset: int) -> "_Time":
        return _Time(self.start + offset, self.end + offset)

    def cut_to(self, bounds: "_Time") -> "_Time":
        """Clip to the bounds; a time wholly outside becomes an instant at the nearer bound."""
        return _Time(*(min(max(each, bounds.start), bounds.end) for each in self))


@dataclass(slots=True, eq=False)
class _Placed:
    """A node on the root's clock.

    ran: when the span ran.
    clipped: the part of that within its parent.
    offset: from the span's own clock to the root's, in nanoseconds.
    """

    node: Node
    ran: _Time
    clipped: _Time
    parent_span_id: str
    offset: int = 0
    moved: bool = False
    wasted_nanoseconds: int = 0
    children: list["_Placed"] = field(default_factory=list)


def _time(span: Span) -> _Time:
    return _Time(span.start_nanoseconds, span.start_nanoseconds + span.duration_nanoseconds)


def _order(time: _Time, span: Span) -> tuple[int, int, str]:
    """Return a sort key: by start, and the longer first of two that start together."""
    return time.start, -time.end, span.span_id


def _place_children(parent: _Placed, offsets: ClockOffsets) -> Iterator[_Placed]:
    """Yield the children on the synchronous path, and those that another service began after their parent's end."""
    caller = parent.node.span
    for child in parent.node.children:
        if child.span.kind is not SpanKind.CONSUMER:
            is_foreign = child.span.service != caller.service
            yield _place(child, parent, shift=offsets.shift_of(caller, child.span) if is_foreign else 0)


def _place(child: Node, parent: _Placed, *, shift: int) -> _Placed:
    offset = parent.offset + shift
    ran = _time(child.span).moved_by(offset)
    is_later = _is_later(child, ran, parent)
    return _Placed(
        child,
        ran=ran,
        clipped=ran if is_later else ran.cut_to(parent.clipped),
        parent_span_id=child.span.parent_span_id,
        offset=offset,
        moved=shift != 0,
        # Time after the end of the parent's own caller is already counted with the parent.
        wasted_nanoseconds=0 if is_later else max(0, ran.end - max(ran.start, parent.ran.end)),
    )


def _is_later(child: Node, ran: _Time, parent: _Placed) -> bool:
    """Return whether another service began after its caller had ended, so that no answer waited for it.

    What began after its caller gave up is work for which the caller once waited.
    """
    caller = parent.node.span
    return child.span.service != caller.service and ran.start >= parent.ran.end and not gave_up(caller)


def _adopters(siblings: Iterable[_Placed]) -> Iterator[_Placed | None]:
    """Yield for each sibling, in order, the shortest leaf that may adopt it."""
    running: list[_Placed] = []
    for each in siblings:
        running = [leaf for leaf in running if leaf.clipped.end > each.clipped.start]
        able = (leaf for leaf in running if _may_adopt(leaf, each))
        yield min(able, key=lambda leaf: leaf.clipped.duration, default=None)
        if not each.node.children and each.node.span.kind in {SpanKind.INTERNAL, SpanKind.CLIENT}:
            running.append(each)


def _may_adopt(leaf: _Placed, sibling: _Placed) -> bool:
    """Return whether a span ran within a longer one of its service; one that only touches its end did not.

    Two concurrent calls stay two calls: a client span adopts no other client span.
    """
    outer, inner = leaf.node.span, sibling.node.span
    return (
        outer.service == inner.service
        and not outer.kind == inner.kind == SpanKind.CLIENT
        and leaf.clipped.holds(sibling.clipped)
        and leaf.clipped.duration > sibling.clipped.duration
        and leaf.clipped.start < sibling.clipped.end
    )


def _build(placed: _Placed, children: list[Node]) -> Node:
    """Build a node from its corrected children and its unchanged consumers."""
    consumers = [child for child in placed.node.children if child.span.kind is SpanKind.CONSUMER]
    below = sorted((*children, *consumers), key=lambda child: _order(_time(child.span), child.span))
    return Node(_corrected(placed), tuple(below))


def _corrected(placed: _Placed) -> Span:
    span = placed.node.span
    if (span.start_nanoseconds, span.end_nanoseconds, span.parent_span_id) == (*placed.clipped, placed.parent_span_id):
        return span
    start, end = placed.clipped
    return replace(span, start_nanoseconds=start, end_nanoseconds=end, parent_span_id=placed.parent_span_id)
