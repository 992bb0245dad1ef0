"""Correction of clock skew: moves or clips spans, so that each child lies within its parent.

A service has one clock: a child that exceeds its parent of the same service was cancelled or abandoned, and is clipped.
Two services have two clocks: a callee is moved by the offset between them, as `clock_offsets` estimates it. A callee
that still exceeds its caller continued after the caller gave up, and is clipped. A caller did not wait for a callee
that began after its end.
Consumers run asynchronously: they and their descendants keep their times.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from observability.analysis.clock_offsets import ClockOffsets, clock_offsets_of
from observability.analysis.span_status import gave_up
from observability.analysis.spans import Span, SpanKind, retimed
from observability.analysis.trees import Node


@dataclass(frozen=True, slots=True)
class Repaired:
    """A tree in which every child lies within its parent, and the corrections that were needed.

    Exceptions are consumers, and spans of another service that began after their parent's end.

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
    if _is_consistent(root, offsets):
        return Repaired(root, truncated=0, moved=0, wasted_nanoseconds=0)
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


# Kinds of leaves that may adopt a sibling.
_ADOPTING = (SpanKind.INTERNAL, SpanKind.CLIENT)


def _is_consistent(root: Node, offsets: ClockOffsets) -> bool:
    """Return whether a tree surely needs no correction, as most do: then it is not built anew."""
    if root.span.end_nanoseconds < root.span.start_nanoseconds:
        return False
    stack = [root]
    while stack:
        parent = stack.pop()
        if not _are_within(parent, offsets):
            return False
        stack += [child for child in parent.children if child.children and child.span.kind is not SpanKind.CONSUMER]
    return True


def _are_within(parent: Node, offsets: ClockOffsets) -> bool:
    """Return whether children are in order, each within its parent on the same clock, and no leaf may adopt another.

    Only a leaf that overlaps its siblings may adopt one. Of two that start together the order is not looked at.
    """
    caller = parent.span
    before, reached, overlap = -1, caller.start_nanoseconds, False
    for child in parent.children:
        span = child.span
        if span.start_nanoseconds <= before:
            return False
        before = span.start_nanoseconds
        if span.kind is SpanKind.CONSUMER:
            continue
        if not caller.start_nanoseconds <= before <= span.end_nanoseconds <= caller.end_nanoseconds:
            return False
        if offsets.shifts and (caller.service, span.service) in offsets.shifts:
            return False
        overlap = overlap or before < reached
        reached = max(reached, span.end_nanoseconds)
    return not (overlap and any(map(_is_adopting_leaf, parent.children)))


def _is_adopting_leaf(node: Node) -> bool:
    return not node.children and node.span.kind in _ADOPTING


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

    If the caller gave up, it did wait for work that began later.
    """
    caller = parent.node.span
    return child.span.service != caller.service and ran.start >= parent.ran.end and not gave_up(caller)


def _adopters(siblings: Sequence[_Placed]) -> Iterator[_Placed | None]:
    """Yield for each sibling, in order, the shortest leaf of its service that ran longer and around it.

    A leaf that only touches the sibling did not. Two concurrent calls stay two: a client span adopts no other call.
    """
    leaves: dict[tuple[str, SpanKind], _Leaves] = defaultdict(_Leaves)
    for each in filter(_is_leaf, siblings):
        leaves[each.node.span.service, each.node.span.kind].expect(each)
    for number, each in enumerate(siblings):
        span = each.node.span
        kinds = _ADOPTING if span.kind is not SpanKind.CLIENT else (SpanKind.INTERNAL,)
        known = (group for kind in kinds if (group := leaves.get((span.service, kind))) is not None)
        able = [found for group in known if (found := group.shortest_around(each.clipped)) is not None]
        yield min(able, key=lambda found: found[:2])[2] if able else None
        if _is_leaf(each):
            leaves[span.service, span.kind].add(each, number)


def _is_leaf(placed: _Placed) -> bool:
    return _is_adopting_leaf(placed.node)


class _Leaves:
    """Leaves in order of their start, the longer first; finds the shortest around a time in logarithmic time.

    Those that started earlier are in a Fenwick tree by their end, which holds the shortest of the ones that end later.
    """

    def __init__(self) -> None:
        self._negative_ends: list[int] = []
        self._tree: list[tuple[int, int, _Placed] | None] = []
        self._starting: list[tuple[int, int, _Placed]] = []

    def expect(self, leaf: _Placed) -> None:
        """Announce a leaf, before the first one is added."""
        self._negative_ends.append(-leaf.clipped.end)

    def add(self, leaf: _Placed, number: int) -> None:
        """Add the next leaf; of two that last equally long, that of the lower number is found."""
        if not self._tree:
            self._negative_ends = sorted(set(self._negative_ends))
            self._tree = [None] * (len(self._negative_ends) + 1)
        if self._starting and self._starting[-1][2].clipped.start < leaf.clipped.start:
            self._store()
        self._starting.append((leaf.clipped.duration, number, leaf))

    def shortest_around(self, time: _Time) -> tuple[int, int, _Placed] | None:
        """Return the shortest leaf around a time and longer than it, with its duration and number; None without one."""
        if not self._tree:
            return None
        if self._starting and self._starting[-1][2].clipped.start < time.start:
            self._store()
        # An instant at the end of a leaf only touches it.
        found = self._shortest_until(time.end if time.duration else time.end + 1)
        if self._starting and time.duration:
            # These are sorted by their end, the last one first.
            together = bisect_left(self._starting, -time.end, key=lambda leaf: -leaf[2].clipped.end)
            if together:
                duration = self._starting[together - 1][0]
                first = bisect_left(self._starting, -duration, key=lambda leaf: -leaf[0])
                found = min(filter(None, (found, self._starting[first])), key=lambda leaf: leaf[:2])
        return found

    def _store(self) -> None:
        for leaf in self._starting:
            at = bisect_left(self._negative_ends, -leaf[2].clipped.end) + 1
            while at < len(self._tree):
                here = self._tree[at]
                if here is None or leaf[:2] < here[:2]:
                    self._tree[at] = leaf
                at += at & -at
        self._starting = []

    def _shortest_until(self, end: int) -> tuple[int, int, _Placed] | None:
        """Return the shortest stored leaf that ends then or later."""
        at = bisect_right(self._negative_ends, -end)
        found = None
        while at:
            here = self._tree[at]
            if here is not None and (found is None or here[:2] < found[:2]):
                found = here
            at -= at & -at
        return found


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
    return retimed(span, start, end, placed.parent_span_id)
