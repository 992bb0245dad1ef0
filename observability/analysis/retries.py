"""Retries in a trace: groups the attempts of one logical call, and measures how long the answer waited for them.

Two forms are recognised. Sibling spans are attempts when each but the last failed, or when a span records that it is a
resend. Server spans below one client span are attempts when one of them failed or is a resend.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from observability.analysis.critical_path import PathSegment
from observability.analysis.span_status import failed, gave_up, is_resend, was_redirected
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node

# Spans that differ in one of these attributes are no attempts at the same call.
_TARGET_ATTRIBUTES = (
    "rpc.service",
    "rpc.method",
    "server.address",
    "net.peer.name",
    "http.request.method",
    "http.method",
    "url.full",
    "http.url",
    "http.target",
    "db.query.text",
    "db.statement",
    "messaging.message.id",
)


@dataclass(frozen=True, slots=True)
class LogicalCall:
    """Two or more attempts at one call; only the last one may have succeeded.

    caller: the parent of the attempts.
    attempts: sorted by start.
    wasted_nanoseconds: time on the critical path in attempts before the last one began.
    back_off_nanoseconds: time on the critical path that the caller spent between attempts.
    No time on the path is counted with two calls.
    """

    caller: Node
    attempts: tuple[Node, ...]
    wasted_nanoseconds: int
    back_off_nanoseconds: int

    @property
    def call(self) -> Span:
        """The span that names the call: the first attempt, or the client span that is the parent of all."""
        first = self.attempts[0].span
        return self.caller.span if first.kind is SpanKind.SERVER else first

    @property
    def lost_nanoseconds(self) -> int:
        """The time that the answer waited longer because of retries."""
        return self.wasted_nanoseconds + self.back_off_nanoseconds


def logical_calls(root: Node, path: Sequence[PathSegment]) -> tuple[LogicalCall, ...]:
    """Return the calls that took more than one attempt, callers before callees; `path` is the root's critical path."""
    groups = [_Group(caller, attempts) for caller in root.walk() for attempts in _groups(caller)]
    if groups:
        _attribute_path(path, groups)
    return tuple(LogicalCall(each.caller, each.attempts, each.wasted, each.back_off) for each in groups)


@dataclass(slots=True, eq=False)
class _Group:
    caller: Node
    attempts: tuple[Node, ...]
    wasted: int = 0
    back_off: int = 0

    @property
    def last_began(self) -> int:
        return self.attempts[-1].span.start_nanoseconds


def _groups(caller: Node) -> Iterator[tuple[Node, ...]]:
    """Yield the attempts at each retried call of a caller."""
    if len(caller.children) < 2:
        return
    alike: dict[tuple[str, str, SpanKind], list[Node]] = defaultdict(list)
    for child in caller.children:
        if child.span.kind is not SpanKind.CONSUMER:
            alike[child.span.service, child.span.name, child.span.kind].append(child)
    for calls in alike.values():
        if len(calls) > 1:
            calls.sort(key=_start_and_end)
            one_call = caller.span.kind is SpanKind.CLIENT and calls[0].span.kind is SpanKind.SERVER
            yield from _within_one_call(calls) if one_call else _chains(calls)


def _within_one_call(calls: Sequence[Node]) -> list[tuple[Node, ...]]:
    """Return servers below one client span as attempts if one failed or is a resend; else they are separate calls."""
    again = any(failed(call.span) or gave_up(call.span) or is_resend(call.span) for call in calls)
    return [tuple(calls)] if again else []


def _start_and_end(node: Node) -> tuple[int, int]:
    return node.span.start_nanoseconds, node.span.end_nanoseconds


def _chains(calls: Iterable[Node]) -> Iterator[tuple[Node, ...]]:
    """Yield chains of attempts: each call follows the earliest one not yet repeated, failed ones preferred."""
    chains: list[list[Node]] = []
    for call in calls:
        ended = [chain for chain in chains if _repeats(call.span, chain[-1].span)]
        if ended:
            min(ended, key=lambda chain: (not failed(chain[-1].span), chain[-1].span.end_nanoseconds)).append(call)
        else:
            chains.append([call])
    return (tuple(chain) for chain in chains if len(chain) > 1)


def _repeats(later: Span, earlier: Span) -> bool:
    if earlier.end_nanoseconds > later.start_nanoseconds:
        return False
    if not failed(earlier) and not (is_resend(later) and not was_redirected(earlier)):
        return False
    first, second = earlier.attributes, later.attributes
    return all(first[name] == second[name] for name in _TARGET_ATTRIBUTES if name in first and name in second)


def _attribute_path(path: Sequence[PathSegment], groups: Sequence[_Group]) -> None:
    """Add the time on the path to the groups; an attempt with all its descendants counts for the outermost group."""
    attempted: dict[str, _Group] = {}
    for group in groups:
        for attempt in group.attempts[:-1]:
            if attempt.span.span_id not in attempted:
                attempted.update((node.span.span_id, group) for node in attempt.walk())
    gaps = _gaps(group for group in groups if group.caller.span.span_id not in attempted)
    for segment in path:
        own = segment.node.span.span_id
        if trying := attempted.get(own):
            trying.wasted += _common(segment, segment.start_nanoseconds, trying.last_began)
        for start, end, waiting in gaps.get(own, ()):
            waiting.back_off += _common(segment, start, end)


def _gaps(groups: Iterable[_Group]) -> dict[str, list[tuple[int, int, _Group]]]:
    """Return the gaps between attempts by the caller's span id, without overlap."""
    found: dict[str, list[tuple[int, int, _Group]]] = defaultdict(list)
    for group in groups:
        for former, latter in pairwise(group.attempts):
            gap = former.span.end_nanoseconds, latter.span.start_nanoseconds, group
            found[group.caller.span.span_id].append(gap)
    return {caller: list(_without_overlap(sorted(gaps, key=lambda gap: gap[:2]))) for caller, gaps in found.items()}


def _without_overlap(gaps: Iterable[tuple[int, int, _Group]]) -> Iterator[tuple[int, int, _Group]]:
    """Yield the gaps without overlap: the back-off of two concurrent calls counts once."""
    reached = 0
    for start, end, group in gaps:
        if end > max(start, reached):
            yield max(start, reached), end, group
            reached = end


def _common(segment: PathSegment, start: int, end: int) -> int:
    return max(0, min(segment.end_nanoseconds, end) - max(segment.start_nanoseconds, start))
