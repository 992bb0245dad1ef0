"""Entry spans: the spans with which requests begin. Traces that are no requests are left out, with the reason."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from observability.analysis.conventions.endpoints import is_probe, may_stay_open, stays_open
from observability.analysis.conventions.operations import operation_of
from observability.analysis.quantiles import quantile
from observability.analysis.span_status import failed
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node, Trace

_NANOSECONDS = 1e9
# No caller waits for the end of such a span.
ASYNCHRONOUS_KINDS = frozenset({SpanKind.CONSUMER, SpanKind.PRODUCER})
# From this share of broken traces on, an operation's complete ones are too few to stand for the rest: the traces with
# most spans are the first to lose one.
MOST_BROKEN = 0.50
_REPORTED_BROKEN = 0.20
# So many times more traces that begin with a client are the clients' side of the requests, and not background work.
_MANY = 10
# A stream's answer waits in its own code for what happens elsewhere. A long-poll without news ends at its timeout, so
# that half of them take about equally long; no one lets users wait this long for work.
_OWN_SHARE = 0.95
_LONG_POLL_SECONDS = 5.0
_LONG_SECONDS = 1.0
_AT_TIMEOUT = 0.95
_NAMED = 3

Operation = tuple[str, str]
Groups = dict[Operation, list[Node]]


@dataclass(frozen=True, slots=True)
class Entries:
    """The roots of complete requests, in the order of the traces.

    reasons: sentences about what was left out.
    broken_share: share (0 to 1) of the requests' traces that lack spans.
    """

    roots: tuple[Node, ...]
    reasons: tuple[str, ...] = ()
    broken_share: float = 0.0


def find_entries(traces: Sequence[Trace]) -> Entries:
    """Return the requests of all operations.

    A request begins with a root, or with a span whose parent is of a system that is not recorded. Of a broken trace no
    span counts; it counts against its own operation alone. Asynchronous work, health checks, streams and the system's
    own background work are no requests. If all traces are of one of the last three kinds, they count.
    """
    sorted_out = _sort(traces)
    groups, reasons = sorted_out.groups(), []
    for select, what in (
        (_probes, "health checks and scrapes of metrics"),
        (_streams, "long-polls and streams"),
        (_background, "traces of background work"),
    ):
        left_out = select(groups)
        others = {operation: roots for operation, roots in groups.items() if operation not in left_out}
        if left_out and others:
            count = sum(len(groups[operation]) for operation in left_out)
            reasons.append(f"{count:,} {what} are left out: {_names(left_out, groups)}")
            groups = others
    kept, broken = _without_broken(groups, sorted_out.broken)
    roots = tuple(root for operation, root in sorted_out.whole if operation in kept)
    lost = sum(sorted_out.broken[operation] for operation in kept) + sorted_out.unknown
    return Entries(
        roots=roots,
        reasons=(*reasons, *broken, *sorted_out.sentences()),
        broken_share=lost / (lost + len(roots)) if lost else 0.0,
    )


@dataclass(slots=True)
class _Sorted:
    """Traces, sorted into complete requests and broken ones.

    whole: the roots of complete requests, each with its operation, in the order of the traces.
    broken: number of broken traces by operation.
    remote: complete requests whose parent is not recorded.
    unknown: broken traces of which no span tells the operation.
    """

    whole: list[tuple[Operation, Node]] = field(default_factory=list)
    broken: Counter[Operation] = field(default_factory=Counter)
    remote: int = 0
    unknown: int = 0

    def groups(self) -> Groups:
        groups: Groups = defaultdict(list)
        for operation, root in self.whole:
            groups[operation].append(root)
        return groups

    def sentences(self) -> Iterator[str]:
        if self.remote:
            yield f"{self.remote:,} requests begin with a call from a system that is not recorded"
        if self.unknown:
            yield f"{self.unknown:,} traces lack their first span, so it is unknown which requests they belong to"


def _sort(traces: Sequence[Trace]) -> _Sorted:
    found = _Sorted()
    parents = _Parents(traces)
    for trace in traces:
        tops = [top for top in trace.roots if top.span.kind not in ASYNCHRONOUS_KINDS]
        lost: list[Node] = []
        for orphan in trace.orphans:
            # A message's consumer is no part of a request, so its missing parent does not break the trace.
            if orphan.span.kind not in ASYNCHRONOUS_KINDS:
                remote = parents.is_remote(orphan, alone=len(trace.orphans) == 1 and not trace.roots)
                (tops if remote else lost).append(orphan)
        if not lost and sum(not root.span.parent_span_id for root in trace.roots) <= 1:
            found.whole.extend((_operation(top.span), top) for top in tops)
            found.remote += sum(orphan.span.kind not in ASYNCHRONOUS_KINDS for orphan in trace.orphans)
        elif operations := {_operation(top.span) for top in tops} or parents.usually_below(lost):
            found.broken.update(operations)
        elif lost:
            found.unknown += 1
    return found


class _Parents:
    """Whether the parents of spans that are orphans somewhere are usually recorded.

    A span whose parent was lost has one elsewhere. The parents of a span that is called by a browser, by a gateway, or
    by a service that sends no spans are never recorded, or only for the part of the requests that these sample.
    """

    def __init__(self, traces: Sequence[Trace]) -> None:
        self._orphans = Counter(_operation(orphan.span) for trace in traces for orphan in trace.orphans)
        self._children: Counter[Operation] = Counter()
        self._tops: dict[Operation, Counter[Operation]] = defaultdict(Counter)
        self._are_roots = any(trace.roots for trace in traces)
        for top in (top for trace in traces for top in (*trace.roots, *trace.orphans) if self._orphans):
            for operation in _operations_below(top):
                if operation in self._orphans:
                    self._children[operation] += 1
                    self._tops[operation][_operation(top.span)] += not top.span.parent_span_id

    def is_remote(self, orphan: Node, *, alone: bool) -> bool:
        """Return whether the parent is of a system that is not recorded; `alone` if no other span begins the trace.

        The parent of a span that is no server's is of the same system, unless no trace begins in it.
        """
        operation = _operation(orphan.span)
        if self._are_roots and orphan.span.kind is not SpanKind.SERVER:
            return False
        usual = 1 if alone else _MANY
        if self._orphans[operation] < max(usual, usual * self._children[operation]):
            return False
        # The parent of a span is its own descendant where ids are wrong.
        return all(node.span.span_id != orphan.span.parent_span_id for node in orphan.walk())

    def usually_below(self, lost: Iterable[Node]) -> set[Operation]:
        """Return the operations of which such spans are part most often."""
        tops = (self._tops.get(_operation(orphan.span)) for orphan in lost)
        return {found.most_common(1)[0][0] for found in tops if found and found.total()}


def _operations_below(top: Node) -> Iterator[Operation]:
    nodes = top.walk()
    next(nodes)
    return (_operation(node.span) for node in nodes)


def _operation(span: Span) -> Operation:
    return span.service, operation_of(span)


def _probes(groups: Groups) -> set[Operation]:
    return {operation for operation, roots in groups.items() if is_probe(roots[0].span) and is_probe(roots[-1].span)}


def _streams(groups: Groups) -> set[Operation]:
    return {operation for operation, roots in groups.items() if _is_stream(roots)}


def _is_stream(roots: Sequence[Node]) -> bool:
    """Return whether an operation's spans stay open until something happens elsewhere."""
    if all(stays_open(root.span) for root in roots):
        return True
    seconds = sorted(root.span.duration_nanoseconds / _NANOSECONDS for root in roots)
    middle = quantile(seconds, 0.5)
    if middle < _LONG_SECONDS or any(failed(root.span) for root in roots):
        return False
    if sum(map(_own_seconds, roots)) < _OWN_SHARE * sum(seconds):
        return False
    return may_stay_open(roots[0].span) or (middle >= _LONG_POLL_SECONDS and middle >= _AT_TIMEOUT * seconds[-1])


def _own_seconds(root: Node) -> float:
    """Return the time of a span without that of its children, each within its bounds; at least 0."""
    start, end = root.span.start_nanoseconds, root.span.end_nanoseconds
    below = sum(
        max(0, min(child.span.end_nanoseconds, end) - max(child.span.start_nanoseconds, start))
        for child in root.children
    )
    return max(0, root.span.duration_nanoseconds - below) / _NANOSECONDS


def _background(groups: Groups) -> set[Operation]:
    """Return the operations whose end no caller waits for, as far as roots tell: those that no server began.

    Where all traces begin with clients, those that reach a server are requests, as of a load generator.
    """
    entered = {operation for operation, roots in groups.items() if any(map(_is_entered, roots))}
    calling = {
        operation
        for operation, roots in groups.items()
        if operation not in entered and any(map(_reaches_a_server, roots))
    }
    entries, calls = (sum(len(groups[operation]) for operation in each) for each in (entered, calling))
    if not entered or calls >= _MANY * entries:
        entered |= calling
    return set(groups) - entered if entered else set()


def _is_entered(root: Node) -> bool:
    return root.span.kind is SpanKind.SERVER or bool(root.span.parent_span_id)


def _reaches_a_server(root: Node) -> bool:
    return any(node.span.kind is SpanKind.SERVER for node in root.walk())


def _without_broken(groups: Groups, broken: Counter[Operation]) -> tuple[Groups, list[str]]:
    """Return the operations of which enough traces are complete, and sentences about those that lack spans."""
    kept: Groups = {}
    reasons = []
    for operation in dict.fromkeys((*groups, *broken)):
        roots = groups.get(operation, [])
        share = broken[operation] / (broken[operation] + len(roots))
        if share > _REPORTED_BROKEN:
            left_out = ", and are left out" if share > MOST_BROKEN else ""
            reasons.append(f"{share:.0%} of the traces of {_name(operation)} lack spans{left_out}")
        if roots and share <= MOST_BROKEN:
            kept[operation] = roots
    return kept, reasons


def _names(operations: Iterable[Operation], groups: Groups) -> str:
    """Return the names of the most frequent operations."""
    ordered = sorted(operations, key=lambda operation: (-len(groups[operation]), operation))
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return ", ".join(map(_name, ordered[:_NAMED])) + more


def _name(operation: Operation) -> str:
    service, name = operation
    return f"{name!r} of {service}"
