"""Retries in a trace: groups the attempts of one logical call, and measures how long the answer waited for them.

Two forms are recognised. Sibling spans are attempts when each but the last failed, or when a span records that it is a
resend. Server spans below one client span are attempts when one of them failed or is a resend.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

from observability.analysis.critical_path import PathSegment
from observability.analysis.span_status import failed, gave_up, is_resend, was_redirected
from observability.analysis.spans import Attribute, Span, SpanKind
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


_Target = tuple[Attribute, ...]


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
    callers = (node for node in root.walk() if len(node.children) > 1)
    groups = [_Group(caller, attempts) for caller in callers for attempts in _groups(caller)]
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
    if not any(_may_be_an_attempt(child.span) for child in caller.children):
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


def _may_be_an_attempt(span: Span) -> bool:
    return failed(span) or is_resend(span) or gave_up(span)


def _within_one_call(calls: Sequence[Node]) -> list[tuple[Node, ...]]:
    """Return servers below one client span as attempts if one failed or is a resend; else they are separate calls."""
    again = any(_may_be_an_attempt(call.span) for call in calls)
    return [tuple(calls)] if again else []


def _start_and_end(node: Node) -> tuple[int, int]:
    return node.span.start_nanoseconds, node.span.end_nanoseconds


def _chains(calls: Sequence[Node]) -> Iterator[tuple[Node, ...]]:
    """Yield chains of attempts: each call follows the earliest one not yet repeated, failed ones preferred."""
    if not any(failed(call.span) or is_resend(call.span) for call in calls):
        return
    chains: list[list[Node]] = []
    waiting = _Waiting()
    for call in calls:
        target = _target(call.span)
        number = waiting.take(call.span, target)
        if number is None:
            number = len(chains)
            chains.append([])
        chains[number].append(call)
        waiting.add(number, call.span, target)
    yield from (tuple(chain) for chain in chains if len(chain) > 1)


class _Waiting:
    """The chains that a later call may continue, by the target of their last attempt, the first end first."""

    def __init__(self) -> None:
        self._failed: dict[_Target, list[tuple[int, int]]] = defaultdict(list)
        self._ended: dict[_Target, list[tuple[int, int]]] = defaultdict(list)
        # Combinations of attributes that targets have: of targets with the same ones, only equal targets are alike.
        self._forms: set[tuple[bool, ...]] = set()

    def add(self, number: int, last: Span, target: _Target) -> None:
        """Add a chain by its number, with its last attempt and that one's target."""
        self._forms.add(_form(target))
        if failed(last):
            heappush(self._failed[target], (last.end_nanoseconds, number))
        elif not was_redirected(last):
            heappush(self._ended[target], (last.end_nanoseconds, number))

    def take(self, call: Span, target: _Target) -> int | None:
        """Remove and return the chain that a call continues; None where it is a first attempt.

        Only a failed attempt is repeated, and any where the call records that it is a resend.
        """
        mixed = len(self._forms | {_form(target)}) > 1
        for chains in (self._failed, self._ended) if is_resend(call) else (self._failed,):
            targets = [other for other in chains if _is_alike(other, target)] if mixed else [target]
            ended = [ends for each in targets if (ends := chains[each]) and ends[0][0] <= call.start_nanoseconds]
            if ended:
                _, number = heappop(min(ended))
                return number
        return None


def _target(span: Span) -> _Target:
    return tuple(_comparable(span.attributes.get(name)) for name in _TARGET_ATTRIBUTES)


def _comparable(value: Attribute) -> Attribute:
    return repr(value) if isinstance(value, list | dict) else value


def _form(target: _Target) -> tuple[bool, ...]:
    return tuple(value is None for value in target)


def _is_alike(one: _Target, other: _Target) -> bool:
    """Return whether two targets differ in no attribute that both have."""
    return one == other or all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


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
