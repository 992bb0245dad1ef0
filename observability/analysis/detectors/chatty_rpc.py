"""Detector of chatty RPCs: a service calls another one repeatedly in sequence, where one batched call would do."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import acquires_a_connection, is_database_call
from observability.analysis.detectors.candidate import LEAST_SHARE, UNHINDERED, Candidate
from observability.analysis.detectors.repeated_calls import Calls, RepeatedCalls, repeated_calls, seconds_between
from observability.analysis.detectors.starts import operation_called
from observability.analysis.observation import Observation
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, seconds, total_seconds
from observability.analysis.span_status import failed
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

# A batched call without recorded server work is assumed to take this share of a call's time for each further item.
_SHARE_PER_MORE = 0.5
_NANOSECONDS = 1e9
# So many calls of different requests that overlapped tell whether they wait for each other.
_FEWEST_OVERLAPPING = 20
# Pauses between calls that are so large a part of the calls' own time may be waits that matter more than the calls.
_LONG_PAUSES = 0.5


def find_chatty_rpc(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each call repeated sequentially under one parent; the fix makes one call for all.

    The transit there and back and the server's own code are then needed once. The server's calls of others stay.
    """
    return [_chatty_rpc(repeated, requests) for repeated in repeated_calls(requests, _remote_operation)]


def _remote_operation(node: Node) -> str | None:
    """Return the operation of a call to another service that did not fail, else None: a failed one is repeated."""
    span = node.span
    is_call = span.kind is SpanKind.CLIENT and not is_database_call(span) and not acquires_a_connection(span)
    return operation_called(node) if is_call and not failed(span) else None


def _chatty_rpc(repeated: RepeatedCalls, requests: Sequence[Request]) -> Candidate:
    service, operation, sizes = repeated.service, repeated.operation, repeated.sizes
    usual = repeated.usual_size
    saved = tuple(sum(map(_saved_seconds, repeated.by_request.get(number, []))) for number in range(len(requests)))
    every = [node for groups in repeated.by_request.values() for calls in groups for node in calls]
    undecided = _undecided(repeated, requests)
    way = fmean(_once_seconds(node) for node in every)
    return Candidate(
        bottleneck=Bottleneck.CHATTY_RPC,
        service=service,
        operation=operation,
        saving=Saving(work=saved, wait=(0.0,) * len(requests)),
        evidence=(
            f"{service} calls {operation!r} {usual:.1f} times in sequence per request, at most {max(sizes)}",
            f"each takes {seconds(every) / len(every) * 1e3:.2f} ms; one for all saves {way * 1e3:.2f} ms per call",
        ),
        trace_ids=tuple(requests[number].root.span.trace_id for number in repeated.largest()),
        predictor="retime: k calls become one",
        undecided=undecided,
    )


def _undecided(repeated: RepeatedCalls, requests: Sequence[Request]) -> str:
    """Return a sentence where the pauses between the calls may be waits for those of other requests.

    The code of a loop takes about as long each time. Where calls wait for a worker, the pauses vary, and in a sample of
    the traces the calls that they wait for are not recorded.
    """
    groups = [(number, calls) for number, each in repeated.by_request.items() for calls in each]
    pauses = sorted(
        max(0, later.span.start_nanoseconds - former.span.end_nanoseconds)
        for _, calls in groups
        for former, later in pairwise(calls)
    )
    loop = quantile(pauses, UNHINDERED)
    beyond = sum(max(0.0, each - loop) for each in pauses) / _NANOSECONDS
    least = max(LEAST_SHARE * total_seconds(requests), _LONG_PAUSES * sum(seconds(calls) for _, calls in groups))
    overlapping = _overlapping(groups)
    if beyond < least or overlapping >= _FEWEST_OVERLAPPING:
        return ""
    return (
        f"the pauses between them take {beyond / len(pauses) * 1e3:.1f} ms on average but {loop / 1e6:.1f} ms at their "
        f"fastest, and only {overlapping} of different requests overlapped: too few to tell whether they wait for each "
        "other"
    )


def _overlapping(groups: Iterable[tuple[int, Calls]]) -> int:
    """Return how many calls began before the previous call had ended, and were of another request."""
    times = sorted(
        (node.span.start_nanoseconds, node.span.end_nanoseconds, number) for number, calls in groups for node in calls
    )
    return sum(later < ended and one != other for (_, ended, one), (later, _, other) in pairwise(times))


def _saved_seconds(calls: Sequence[Node]) -> float:
    """Return what one call for all saves: of all but one, the time that is needed once, with the code in between."""
    once = [_once_seconds(node) for node in calls]
    return sum(once) - median(once) + seconds_between(calls)


def _once_seconds(call: Node) -> float:
    return seconds([call]) - _needed_seconds(call)


def _needed_seconds(call: Node) -> float:
    """Return the time of a call that a batched one still needs: that of the server's calls of others."""
    servers = [child for child in call.children if child.span.kind is SpanKind.SERVER]
    if not servers:
        return _SHARE_PER_MORE * seconds([call])
    asked = [node for server in servers for node in server.walk() if node.span.kind is SpanKind.CLIENT]
    return min(seconds([call]), seconds(_outermost(asked)))


def _outermost(nodes: Sequence[Node]) -> list[Node]:
    below = {child.span.span_id for node in nodes for each in node.walk() for child in each.children}
    return [node for node in nodes if node.span.span_id not in below]
