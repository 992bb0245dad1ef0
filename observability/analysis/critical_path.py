"""Critical path of a request: the segments of time that its answer waited for, each with its span."""

from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from observability.analysis.conventions.operations import operation_of
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node


class Where(StrEnum):
    """The part of a span that a segment covers: its own code, or a call's way to the server and back."""

    SELF = "self"
    REQUEST_TRANSIT = "request in transit"
    RESPONSE_TRANSIT = "response in transit"


class PathSegment(NamedTuple):
    """A non-empty segment of the critical path, in nanoseconds since the Unix epoch.

    A tuple, since there is about one for each span: it is made three times as fast as a frozen dataclass.
    """

    node: Node
    where: Where
    start_nanoseconds: int
    end_nanoseconds: int

    @property
    def duration_nanoseconds(self) -> int:
        """The length of the segment."""
        return self.end_nanoseconds - self.start_nanoseconds


def critical_path(root: Node) -> tuple[PathSegment, ...]:
    """Split the root's duration into segments, in order and without a gap, each with the span that was waited for.

    The walk goes backwards from a span's end. The child that ended last was waited for since its start; from there on,
    the next one is again the child that ended last. A child that overlaps the next one counts up to the start of that
    one; a child that ran only beside others does not count. Consumers do not count: the answer does not wait for them.
    `root` comes from `clock_skew.repair`; of a child that exceeds its parent, only the part within it counts.
    """
    segments: list[PathSegment] = []
    # An explicit stack, earliest on top: a trace may be deeper than Python's stack.
    stack: list[PathSegment | _Visit] = [_Visit(root, *_time(root.span))]
    while stack:
        found = stack.pop()
        if isinstance(found, PathSegment):
            segments.append(found)
        elif found.node.children:
            stack.extend(_walk_back(found))
        elif found.start < found.end:
            segments.append(PathSegment(found.node, Where.SELF, found.start, found.end))
    return tuple(segments)


def calls_in_sequence(parent: Node) -> tuple[tuple[Node, ...], ...]:
    """Return groups of children that repeat one operation sequentially, sorted by start.

    Children of one service, operation and kind form a group; other children may run in between. A group in which any
    two overlap is left out.
    """
    alike: dict[tuple[str, str, SpanKind], list[Node]] = defaultdict(list)
    for child in sorted(parent.children, key=lambda child: _time(child.span)):
        alike[child.span.service, operation_of(child.span), child.span.kind].append(child)
    return tuple(tuple(calls) for calls in alike.values() if len(calls) > 1 and _in_sequence(calls))


class _Visit(NamedTuple):
    """A span that was waited for from `start` to `end`, in nanoseconds."""

    node: Node
    start: int
    end: int


def _time(span: Span) -> tuple[int, int]:
    return span.start_nanoseconds, span.start_nanoseconds + span.duration_nanoseconds


def _walk_back(visit: _Visit) -> list[PathSegment | _Visit]:
    """Split the time of a visit into its own segments and visits to its children, the last first."""
    node, earliest, cursor = visit
    served = _served(node)
    found: list[PathSegment | _Visit] = []
    for child in sorted(node.children, key=_last_end_first):
        span = child.span
        start, end = span.start_nanoseconds, span.start_nanoseconds + span.duration_nanoseconds
        start, end = max(start, earliest), min(end, cursor)
        if start >= end or span.kind is SpanKind.CONSUMER:
            continue
        if end < cursor:
            found.extend(_own(node, served, end, cursor))
        found.append(_Visit(child, start, end))
        cursor = start
    if earliest < cursor:
        found.extend(_own(node, served, earliest, cursor))
    return found


def _last_end_first(node: Node) -> tuple[int, int]:
    """Return a sort key: the last end first and, of two that ended together, the longer first."""
    start, end = _time(node.span)
    return -end, start


def _own(node: Node, served: tuple[int, int] | None, start: int, end: int) -> Iterator[PathSegment]:
    """Yield the segments of a time without a child on the path, last first: response, own code, request."""
    request_end, response_start = (min(max(cut, start), end) for cut in served or (start, end))
    if response_start < end:
        yield PathSegment(node, Where.RESPONSE_TRANSIT, response_start, end)
    if request_end < response_start:
        yield PathSegment(node, Where.SELF, request_end, response_start)
    if start < request_end:
        yield PathSegment(node, Where.REQUEST_TRANSIT, start, request_end)


def _served(node: Node) -> tuple[int, int] | None:
    """Return when a client's first server span began and its last one ended; None when it has none."""
    if node.span.kind is not SpanKind.CLIENT:
        return None
    servers = [_time(child.span) for child in node.children if child.span.kind is SpanKind.SERVER]
    return (min(start for start, _ in servers), max(end for _, end in servers)) if servers else None


def _in_sequence(calls: list[Node]) -> bool:
    return all(_time(former.span)[1] <= _time(latter.span)[0] for former, latter in pairwise(calls))
