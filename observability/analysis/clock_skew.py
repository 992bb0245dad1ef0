"""Which times can be believed when clocks and cancellations disagree?

Within a service there is one clock: a child outside its parent's time was cancelled or abandoned, and is cut. Between
services there are two: what does not fit into its caller's time has a wrong clock but a right duration, and is moved,
unless its caller gave up after it had begun: then it ran on for nobody, and is cut like a child of one service.
Consumers are off the synchronous path: they run when they run, and keep their times and those of all below them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from observability.analysis.span_status import gave_up
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node


@dataclass(frozen=True, slots=True)
class Repaired:
    """A tree in which every child but a consumer is within its parent's time, and what that took.

    `truncated` spans were cut at their parent's start or end. `moved` spans of another service were shifted into their
    caller's time, each with all below it. `wasted_nanoseconds` is the time cut off after a parent had ended: work for
    nobody. It is counted once, with the topmost span that it was cut off from.
    """

    root: Node
    truncated: int
    moved: int
    wasted_nanoseconds: int


def repair(root: Node) -> Repaired:
    """Give the tree with times that agree; repairing it again changes nothing.

    A leaf adopts siblings that ran within its time: their context was lost on the way (`_may_adopt` says of whom).
    """
    top = _Placed(root, ran=_time(root.span), kept=_time(root.span), parent_span_id=root.span.parent_span_id)
    placed = [top]
    for parent in placed:
        children = sorted(_place_children(parent), key=lambda child: _order(child.kept, child.node.span))
        for child, adopter in zip(children, _adopters(children), strict=True):
            if adopter:
                child.parent_span_id = adopter.node.span.span_id
            (adopter or parent).children.append(child)
        placed.extend(children)
    # Whoever adopts starts no later and lasts longer, so that it comes before the adopted here, as parents do.
    built: dict[int, Node] = {}
    for each in reversed(placed):
        built[id(each)] = _build(each, [built[id(child)] for child in each.children])
    return Repaired(
        root=built[id(top)],
        truncated=sum(each.kept != each.ran for each in placed),
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
        """A time wholly outside becomes an instant at the nearer bound."""
        return _Time(*(min(max(each, bounds.start), bounds.end) for each in self))


@dataclass(slots=True, eq=False)
class _Placed:
    """A node on the root's clock, `offset` from its own: when it ran, and what is kept of that."""

    node: Node
    ran: _Time
    kept: _Time
    parent_span_id: str
    offset: int = 0
    moved: bool = False
    wasted_nanoseconds: int = 0
    children: list["_Placed"] = field(default_factory=list)


def _time(span: Span) -> _Time:
    return _Time(span.start_nanoseconds, span.start_nanoseconds + span.duration_nanoseconds)


def _order(time: _Time, span: Span) -> tuple[int, int, str]:
    """Sort by start; of two that start together the longer comes first, as in any tree."""
    return time.start, -time.end, span.span_id


def _place_children(parent: _Placed) -> Iterator[_Placed]:
    """Give the children on the synchronous path.

    Clocks are compared with when the parent really ran: that it was cut says nothing about the clock of its callee.
    """
    foreign: dict[str, list[Node]] = defaultdict(list)
    for child in parent.node.children:
        if child.span.kind is SpanKind.CONSUMER:
            continue
        if child.span.service == parent.node.span.service:
            yield _place(child, parent, shift=0)
        else:
            foreign[child.span.service].append(child)
    for callees in foreign.values():
        times = [_time(callee.span).moved_by(parent.offset) for callee in callees]
        for callee, shift in zip(callees, _shifts(times, parent), strict=True):
            yield _place(callee, parent, shift=shift)


def _shifts(times: Sequence[_Time], parent: _Placed) -> list[int]:
    """Spans of one service share a clock and move together, attempts stay in order; one by one if that cannot fit."""
    caller = parent.ran
    extent = _Time(min(time.start for time in times), max(time.end for time in times))
    if caller.holds(extent):
        return [0] * len(times)
    if gave_up(parent.node.span):
        began_in_time = caller.start <= extent.start < caller.end
        return [0 if began_in_time else _shift(extent, caller)] * len(times)
    if extent.duration <= caller.duration:
        return [_shift(extent, caller)] * len(times)
    return [_shift(time, caller) for time in times]


def _shift(time: _Time, caller: _Time) -> int:
    """How far to move a time to the middle of its caller's, or to its start when it is longer; 0 when it is inside."""
    if caller.holds(time):
        return 0
    return caller.start + max(0, caller.duration - time.duration) // 2 - time.start


def _place(child: Node, parent: _Placed, *, shift: int) -> _Placed:
    offset = parent.offset + shift
    ran = _time(child.span).moved_by(offset)
    return _Placed(
        child,
        ran=ran,
        kept=ran.cut_to(parent.kept),
        parent_span_id=child.span.parent_span_id,
        offset=offset,
        moved=shift != 0,
        # What was cut off the parent too is already counted there.
        wasted_nanoseconds=max(0, ran.end - max(ran.start, parent.ran.end)),
    )


def _adopters(siblings: Iterable[_Placed]) -> Iterator[_Placed | None]:
    """Give for each sibling, in their order, the shortest leaf that may adopt it."""
    running: list[_Placed] = []
    for each in siblings:
        running = [leaf for leaf in running if leaf.kept.end > each.kept.start]
        able = (leaf for leaf in running if _may_adopt(leaf, each))
        yield min(able, key=lambda leaf: leaf.kept.duration, default=None)
        if not each.node.children and each.node.span.kind in {SpanKind.INTERNAL, SpanKind.CLIENT}:
            running.append(each)


def _may_adopt(leaf: _Placed, sibling: _Placed) -> bool:
    """Say whether a span ran within a longer one of its service; touching at an instant is back to back.

    Two calls at the same time are two calls, however long: a client span adopts no other client span.
    """
    outer, inner = leaf.node.span, sibling.node.span
    return (
        outer.service == inner.service
        and not outer.kind == inner.kind == SpanKind.CLIENT
        and leaf.kept.holds(sibling.kept)
        and leaf.kept.duration > sibling.kept.duration
        and leaf.kept.start < sibling.kept.end
    )


def _build(placed: _Placed, children: list[Node]) -> Node:
    """Put a node together, with its consumers as they were."""
    consumers = [child for child in placed.node.children if child.span.kind is SpanKind.CONSUMER]
    below = sorted((*children, *consumers), key=lambda child: _order(_time(child.span), child.span))
    return Node(_corrected(placed), tuple(below))


def _corrected(placed: _Placed) -> Span:
    span = placed.node.span
    if (span.start_nanoseconds, span.end_nanoseconds, span.parent_span_id) == (*placed.kept, placed.parent_span_id):
        return span
    start, end = placed.kept
    return replace(span, start_nanoseconds=start, end_nanoseconds=end, parent_span_id=placed.parent_span_id)
