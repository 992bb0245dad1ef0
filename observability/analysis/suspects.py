"""What might be the bottleneck? Each class looks for what must be there, and says what its fix would take away."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.critical_path import calls_in_sequence
from observability.analysis.observation import Observation
from observability.analysis.requests import (
    Request,
    ends_a_change,
    is_database_call,
    is_transaction_control,
    longest,
    seconds,
)
from observability.analysis.resources import Pool, pools
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
_WAIT_TIME = "db.client.connection.wait_time"
# Fewer calls in a row than this are how code is written.
_FEWEST_CALLS = 3.0
# A wait, or work, of less than this share of a request's time is not why requests are slow.
LEAST_SHARE = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A bottleneck that would explain the requests' time; `saving` is what its fix takes from each of them.

    `operation` is empty where it is the whole service. `predictor` names how the saving was come by.
    """

    bottleneck: Bottleneck
    service: str
    operation: str
    saving: Saving
    evidence: tuple[str, ...]
    trace_ids: tuple[str, ...]
    predictor: str


Find = Callable[[Observation, Sequence[Request]], list[Suspect]]


def find_suspects(observation: Observation, requests: Sequence[Request]) -> list[Suspect]:
    """Give all that take at least a tenth of the requests' time, those that take most first."""
    whole = sum(request.seconds for request in requests)
    found = [suspect for find in FINDERS for suspect in find(observation, requests)]
    worth = [suspect for suspect in found if suspect.saving.total() >= LEAST_SHARE * whole]
    return sorted(worth, key=lambda suspect: -suspect.saving.total())


def find_n_plus_one(_observation: Observation, requests: Sequence[Request]) -> list[Suspect]:
    """Statements of one summary, one after the other under one parent: what one statement for all would take away."""
    groups: dict[tuple[str, str], dict[int, list[tuple[Node, ...]]]] = defaultdict(lambda: defaultdict(list))
    for number, request in enumerate(requests):
        for parent in request.root.walk():
            for calls in calls_in_sequence(parent):
                span = calls[0].span
                if is_database_call(span) and not is_transaction_control(span):
                    groups[span.service, span.name][number].append(calls)
    suspects = []
    for (service, name), by_request in groups.items():
        sizes = [max(len(calls) for calls in by_request.get(number, [()])) for number in range(len(requests))]
        if fmean(sizes) >= _FEWEST_CALLS:
            suspects.append(_n_plus_one(service, name, by_request, sizes, requests))
    return suspects


def _n_plus_one(
    service: str,
    name: str,
    by_request: dict[int, list[tuple[Node, ...]]],
    sizes: Sequence[int],
    requests: Sequence[Request],
) -> Suspect:
    calls = [node for groups in by_request.values() for group in groups for node in group]
    single = median(node.span.duration_nanoseconds for node in calls) / _NANOSECONDS
    row = min(_seconds_a_row(service, name, sizes, requests), single / 2)
    saved = tuple(
        sum(max(0.0, _stretch_seconds(group) - single - (len(group) - 1) * row) for group in by_request.get(number, []))
        for number in range(len(requests))
    )
    longest_groups = sorted(by_request, key=lambda number: -sizes[number])[:3]
    return Suspect(
        bottleneck=Bottleneck.N_PLUS_ONE,
        service=service,
        operation=name,
        saving=Saving(work=saved, wait=(0.0,) * len(requests)),
        evidence=(
            f"{name!r} of {service} is sent {fmean(sizes):.1f} times in a row a request, and up to {max(sizes)} times",
            f"each takes {single * 1e3:.2f} ms (median); one for all is expected to take {row * 1e6:.0f} us a row more",
        ),
        trace_ids=tuple(requests[number].root.span.trace_id for number in longest_groups),
        predictor="retime: k statements become one",
    )


def _stretch_seconds(calls: Sequence[Node]) -> float:
    """Give the time from the first call to the end of the last, without what else ran between them.

    A gap between two of them is the loop that sends them, which goes away with them.
    """
    gaps = [later.span.start_nanoseconds - earlier.span.end_nanoseconds for earlier, later in pairwise(calls)]
    usual = median(gaps) if gaps else 0
    return seconds(calls) + sum(min(gap, 2 * usual) for gap in gaps) / _NANOSECONDS


def _seconds_a_row(service: str, name: str, sizes: Sequence[int], requests: Sequence[Request]) -> float:
    """Estimate what a row more costs in a statement for all rows: from the service's statements that are so already."""
    seen: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for size, request in zip(sizes, requests, strict=True):
        for node in request.root.walk():
            span = node.span
            if span.service == service and span.name != name and is_database_call(span):
                seen[span.name].append((size, span.duration_nanoseconds / _NANOSECONDS))
    slopes = [slope for points in seen.values() if (slope := _slope(points)) > 0]
    return median(slopes) if slopes else 0.0


def _slope(points: Sequence[tuple[int, float]]) -> float:
    """Fit a line by least squares; 0 where all have the same x."""
    middle_x, middle_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0


def find_pool(observation: Observation, requests: Sequence[Request]) -> list[Suspect]:
    """Waits for a connection on the path of the requests, while every connection of the pool is in use."""
    waits: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(requests))
    for number, request in enumerate(requests):
        for node in request.waited_for():
            waited = node.span.attributes.get(_WAIT_TIME)
            if isinstance(waited, int | float):
                waits[node.span.service][number] += float(waited)
    known = pools(observation)
    return [
        suspect
        for service, waited in waits.items()
        if (suspect := _pool(service, waited, [pool for pool in known if pool.target == service], requests))
    ]


def _pool(service: str, waited: Sequence[float], known: Sequence[Pool], requests: Sequence[Request]) -> Suspect | None:
    pool = known[0] if known else None
    share = sum(waited) / max(sum(request.seconds for request in requests), 1e-9)
    evidence = [f"requests wait {fmean(waited) * 1e3:.1f} ms for a connection of {service}, {share:.0%} of their time"]
    if pool:
        if not pool.full_share:
            return None
        evidence.append(
            f"pool {pool.name!r} has {pool.limit:.0f}, each held for {pool.mean_hold_seconds * 1e3:.1f} ms; "
            f"all were in use at {pool.full_share:.0%} of the looks"
        )
    return Suspect(
        bottleneck=Bottleneck.POOL,
        service=service,
        operation="",
        saving=Saving(work=(0.0,) * len(requests), wait=tuple(waited)),
        evidence=tuple(evidence),
        trace_ids=longest(requests),
        predictor="queueing: the wait for a connection goes away",
    )


def find_side_effect(_observation: Observation, requests: Sequence[Request]) -> list[Suspect]:
    """Calls to the outside, on the path after the last change was made to last: no answer needs them."""
    spent: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(requests))
    for number, request in enumerate(requests):
        for node in _after_the_last_change(request):
            spent[node.span.service, node.span.name][number] += seconds([node])
    return [
        Suspect(
            bottleneck=Bottleneck.SYNC_SIDE_EFFECT,
            service=service,
            operation=name,
            saving=Saving(work=(0.0,) * len(requests), wait=tuple(taken)),
            evidence=(
                f"{name!r} of {service} takes {fmean(taken) * 1e3:.1f} ms of a request after its last commit",
                "nothing that comes after it on the path uses what it did",
            ),
            trace_ids=longest(requests),
            predictor="path: the call leaves the path",
        )
        for (service, name), taken in spent.items()
    ]


def _after_the_last_change(request: Request) -> list[Node]:
    """Give the calls on the path that leave the process, are none of a database, and follow the last change."""
    calls = list(request.waited_for())
    changes = [node.span for node in calls if is_database_call(node.span) and ends_a_change(node.span)]
    if not changes:
        return []
    last = max(span.end_nanoseconds for span in changes)
    return [
        node
        for node in calls
        if node.span.start_nanoseconds >= last
        and node.span.kind in {SpanKind.CLIENT, SpanKind.PRODUCER}
        and not is_database_call(node.span)
    ]


FINDERS: tuple[Find, ...] = (find_n_plus_one, find_pool, find_side_effect)
