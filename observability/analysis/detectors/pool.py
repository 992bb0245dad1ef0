"""Detector of pool exhaustion: requests wait for a connection while all are in use.

Where spans show both the wait for a connection and the statements that use it, as many connections as ever are in use
while requests wait. If fewer are, the pool still has some: the process is held up by something else.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import (
    acquires_a_connection,
    begins_a_transaction,
    database_system,
    is_database_call,
)
from observability.analysis.detectors.candidate import UNHINDERED, Candidate
from observability.analysis.detectors.concurrency import Start, limit_of
from observability.analysis.detectors.starts import roots
from observability.analysis.observation import Observation
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest, seconds, total_seconds
from observability.analysis.resources import Pool, pools
from observability.analysis.spans import Span, SpanStatus
from observability.analysis.trees import Node
from observability.analysis.whatif import QUEUE_MODEL_ERROR, Saving

_WAIT_TIME = "db.client.connection.wait_time"
# So many uses of connections show whether all are in use.
_FEWEST_USES = 20
# What holds up a process holds up the use of a connection as much as the wait for one, and the opening of a connection
# takes about as long each time. Waits that are so many times longer than the uses, and than the fastest tenth of them,
# are for other users.
_TIMES_USE, _TIMES_FASTEST = 3.0, 2.0

Client = tuple[str, str]


def find_pool(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each service whose requests wait for a connection; the fix saves that wait."""
    waits: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(requests))
    on_paths = [(number, node) for number, request in enumerate(requests) for node in request.waited_for()]
    acquire = any(acquires_a_connection(node.span) for _, node in on_paths)
    unhindered = _with_connections_left(observation, requests) if acquire else set()
    for number, node in on_paths:
        if not (acquires_a_connection(node.span) and _client(node.span) in unhindered):
            waits[node.span.service][number] += _waited_seconds(node)
    known = pools(observation)
    return [
        candidate
        for service, waited in waits.items()
        if any(waited)
        and (candidate := _pool(service, waited, [pool for pool in known if pool.target == service], requests))
    ]


def _with_connections_left(observation: Observation, requests: Sequence[Request]) -> set[Client]:
    """Return the clients of databases that wait for connections though fewer are in use than at other times.

    In a sample of the traces, most of the uses are not recorded. So the waits themselves count: see `_TIMES_USE`.
    """
    uses: dict[Client, list[Start]] = defaultdict(list)
    for number, root in roots(observation, requests):
        for parent in root.walk():
            for use in _uses(parent, number):
                uses[_client(use.top.span)].append(use)
    return {
        client
        for client, starts in uses.items()
        if len(starts) >= _FEWEST_USES and limit_of(starts) is None and not _are_for_others(starts)
    }


def _are_for_others(uses: Sequence[Start]) -> bool:
    """Return whether the waits are much longer than a connection is used, and than the fastest of them."""
    waits = sorted(each.start - each.ready for each in uses)
    used = fmean(each.end - each.start for each in uses)
    return fmean(waits) >= max(_TIMES_USE * used, _TIMES_FASTEST * quantile(waits, UNHINDERED))


def _uses(parent: Node, number: int) -> Iterator[Start]:
    """Yield the uses of connections by a span's statements: from the wait for a connection to the last statement."""
    waited: Node | None = None
    end = 0
    for child in parent.children:
        if acquires_a_connection(child.span):
            if waited and end:
                yield _use(parent, waited, number, end)
            waited, end = child, 0
        elif waited and is_database_call(child.span):
            end = max(end, child.span.end_nanoseconds)
    if waited and end:
        yield _use(parent, waited, number, end)


def _use(parent: Node, waited: Node, number: int, end: int) -> Start:
    ready, start = waited.span.start_nanoseconds, max(waited.span.start_nanoseconds, waited.span.end_nanoseconds)
    return Start(parent, waited, number, ready, start, max(start, end), 1)


def _client(span: Span) -> Client:
    return span.service, database_system(span)


def _waited_seconds(node: Node) -> float:
    """Return the time that a statement waited for its connection; a BEGIN that failed waited for its whole duration.

    A span that acquires a connection waits for all but its children, which open one.
    """
    span = node.span
    if acquires_a_connection(span):
        return max(0.0, seconds([node]) - seconds(node.children))
    waited = span.attributes.get(_WAIT_TIME)
    if isinstance(waited, int | float):
        return float(waited)
    gave_up = span.status is SpanStatus.ERROR and is_database_call(span) and begins_a_transaction(span)
    return seconds([node]) if gave_up else 0.0


def _pool(
    service: str, waited: Sequence[float], known: Sequence[Pool], requests: Sequence[Request]
) -> Candidate | None:
    pool = known[0] if known else None
    share = sum(waited) / total_seconds(requests)
    evidence = [f"requests of {service} wait {fmean(waited) * 1e3:.1f} ms for a connection, {share:.0%} of their time"]
    if pool:
        if not pool.full_share:
            return None
        evidence.append(
            f"pool {pool.name!r} has {pool.limit:.0f} connections, held for {pool.mean_hold_seconds * 1e3:.1f} ms on "
            f"average; all were in use in {pool.full_share:.0%} of the scrapes"
        )
    return Candidate(
        bottleneck=Bottleneck.POOL,
        service=service,
        operation="",
        saving=Saving(work=(0.0,) * len(requests), wait=tuple(waited), model_error=QUEUE_MODEL_ERROR),
        evidence=tuple(evidence),
        trace_ids=longest(requests),
        predictor="queueing: without the wait for a connection",
    )
