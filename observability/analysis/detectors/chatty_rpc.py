"""Detector of chatty RPCs: one call between two services is made again and again, where one for all would do."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import acquires_a_connection, is_database_call
from observability.analysis.critical_path import calls_in_sequence
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.detectors.starts import operation_called
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, seconds
from observability.analysis.span_status import failed
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# Fewer calls in sequence than this are normal code.
_FEWEST_CALLS = 3.0
# Of a call whose inside is not recorded, one for all still takes this share for each more.
_SHARE_PER_MORE = 0.5


def find_chatty_rpc(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each call repeated sequentially under one parent; the fix makes one call for all.

    The way there and back and the server's own code are needed once. What the server asks of others stays.
    """
    groups: dict[tuple[str, str], dict[int, list[tuple[Node, ...]]]] = defaultdict(lambda: defaultdict(list))
    for number, request in enumerate(requests):
        for operation, calls in _calls_on_the_path(request):
            groups[calls[0].span.service, operation][number].append(calls)
    candidates = []
    for (service, operation), by_request in groups.items():
        sizes = [max(len(calls) for calls in by_request.get(number, [()])) for number in range(len(requests))]
        if fmean(sizes) >= _FEWEST_CALLS:
            candidates.append(_candidate(service, operation, by_request, sizes, requests))
    return candidates


def _calls_on_the_path(request: Request) -> Iterator[tuple[str, tuple[Node, ...]]]:
    """Yield groups of calls on the critical path, those of one operation and one parent together, without retries."""
    waited_for = {node.span.span_id for node in request.waited_for()}
    for parent in request.root.walk():
        if len(parent.children) < 2:
            continue
        for calls in calls_in_sequence(parent):
            alike: dict[str, list[Node]] = defaultdict(list)
            for node in calls:
                if node.span.span_id in waited_for and _is_remote_call(node) and not failed(node.span):
                    alike[operation_called(node)].append(node)
            yield from ((operation, tuple(nodes)) for operation, nodes in alike.items() if len(nodes) > 1)


def _is_remote_call(node: Node) -> bool:
    span = node.span
    return span.kind is SpanKind.CLIENT and not is_database_call(span) and not acquires_a_connection(span)


def _candidate(
    service: str,
    operation: str,
    by_request: dict[int, list[tuple[Node, ...]]],
    sizes: Sequence[int],
    requests: Sequence[Request],
) -> Candidate:
    saved = tuple(sum(_saved_seconds(calls) for calls in by_request.get(number, [])) for number in range(len(requests)))
    every = [node for groups in by_request.values() for calls in groups for node in calls]
    most = sorted(by_request, key=lambda number: -sizes[number])[:3]
    way = fmean(seconds([node]) - _needed_seconds(node) for node in every)
    return Candidate(
        bottleneck=Bottleneck.CHATTY_RPC,
        service=service,
        operation=operation,
        saving=Saving(work=saved, wait=(0.0,) * len(requests)),
        evidence=(
            f"{service} calls {operation!r} {fmean(sizes):.1f} times in sequence per request, at most {max(sizes)}",
            f"each takes {fmean(map(_seconds, every)) * 1e3:.2f} ms; one for all saves {way * 1e3:.2f} ms per call",
        ),
        trace_ids=tuple(requests[number].root.span.trace_id for number in most),
        predictor="retime: k calls become one",
    )


def _seconds(node: Node) -> float:
    return seconds([node])


def _saved_seconds(calls: Sequence[Node]) -> float:
    """Return what one call for all saves: of all but one, the time that is needed once, with the code in between.

    A usual gap is the loop that makes the calls, which the fix removes too; of a longer gap only twice that counts.
    """
    gaps = [later.span.start_nanoseconds - earlier.span.end_nanoseconds for earlier, later in pairwise(calls)]
    usual = median(gaps)
    once = [seconds([node]) - _needed_seconds(node) for node in calls]
    return sum(once) - median(once) + sum(min(gap, 2 * usual) for gap in gaps) / _NANOSECONDS


def _needed_seconds(call: Node) -> float:
    """Return the time of a call that one for all needs for it, too: what the server asks of others."""
    servers = [child for child in call.children if child.span.kind is SpanKind.SERVER]
    if not servers:
        return _SHARE_PER_MORE * seconds([call])
    asked = [node for server in servers for node in server.walk() if node.span.kind is SpanKind.CLIENT]
    return min(seconds([call]), seconds(_outermost(asked)))


def _outermost(nodes: Sequence[Node]) -> list[Node]:
    below = {child.span.span_id for node in nodes for each in node.walk() for child in each.children}
    return [node for node in nodes if node.span.span_id not in below]
