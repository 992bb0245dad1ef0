"""Detector of network latency: calls take long on the network, even when neither end is busy.

Where the callee records spans, that is the time of a call outside of them. A database records none: if its statements
have nothing in common but that none of them is ever fast, the way there and back is what they share.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.critical_path import Where
from observability.analysis.detectors.candidate import UNHINDERED, Candidate
from observability.analysis.detectors.opaque_calls import OpaqueCalls, opaque_calls
from observability.analysis.detectors.service_processors import on_full_processors
from observability.analysis.detectors.slow_call import SLOW_SECONDS
from observability.analysis.observation import Observation
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# Time on the network between hosts of one site, including the event loops of both ends.
NEAR_SECONDS = 0.001
# Two statements may both be slow. Three different ones of which none is fast have only their database in common.
_FEWEST_STATEMENTS = 3
# A queue that is empty now and then lets one call in a hundred pass at once; a long way lets none.
_NEVER_FASTER = 0.01
# Of the way, all calls have their part. A queue, and a process that stands still at times, delay some far more.
_TIMES_FLOOR = 2.0
# Fewer calls do not tell.
_FEWEST_CALLS = 100


def find_network_latency(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each caller and callee; the fix saves the network time of even the fastest calls.

    Even the fastest calls include that time, so no queue at either end explains it.
    """
    return [*_far_services(requests), *_far_databases(observation, requests)]


def _far_services(requests: Sequence[Request]) -> list[Candidate]:
    calls: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for number, request in enumerate(requests):
        for node, network_seconds in _network_calls(request):
            served = next(child.span for child in node.children if child.span.kind is SpanKind.SERVER)
            calls[node.span.service, served.service].append((number, network_seconds))
    candidates = []
    for (caller, called), seen in calls.items():
        fastest = quantile(sorted(taken for _, taken in seen), UNHINDERED)
        saved = [0.0] * len(requests)
        for number, taken in seen:
            saved[number] += min(taken, max(0.0, fastest - NEAR_SECONDS))
        candidates.append(
            Candidate(
                bottleneck=Bottleneck.NETWORK_LATENCY,
                service=caller,
                operation=called,
                saving=Saving(work=(0.0,) * len(requests), wait=tuple(saved)),
                evidence=(
                    f"a call spends {fmean(taken for _, taken in seen) * 1e3:.1f} ms on the network",
                    f"the fastest tenth of the calls spends up to {fastest * 1e3:.1f} ms there",
                    f"{len(seen) / len(requests):.1f} such calls per request",
                ),
                trace_ids=longest(requests),
                predictor="retime: calls spend as little on the network as within one site",
            )
        )
    return candidates


def _far_databases(observation: Observation, requests: Sequence[Request]) -> Iterator[Candidate]:
    """Yield a candidate for each client of a database in which no statement is ever fast.

    A client whose processor is full may read every answer late, and is left out.
    """
    by_database: dict[tuple[str, str], list[OpaqueCalls]] = defaultdict(list)
    for (service, _), calls in opaque_calls(requests).items():
        if calls.is_statement and calls.database:
            by_database[service, calls.database].append(calls)
    full = on_full_processors(observation, requests)
    for (service, database), statements in by_database.items():
        durations = sorted(each for calls in statements for each in calls.durations)
        if len(statements) < _FEWEST_STATEMENTS or len(durations) < _FEWEST_CALLS or service in full:
            continue
        floor = quantile(durations, _NEVER_FASTER)
        if floor >= SLOW_SECONDS and quantile(durations, 0.5) <= _TIMES_FLOOR * floor:
            yield _far_database(service, database, statements, floor, requests)


def _far_database(
    service: str, database: str, statements: Sequence[OpaqueCalls], floor: float, requests: Sequence[Request]
) -> Candidate:
    saved = [0.0] * len(requests)
    for calls in statements:
        for (number, _), taken in calls.seconds.items():
            saved[number] += min(taken, floor - NEAR_SECONDS)
    made = sum(len(calls.seconds) for calls in statements)
    return Candidate(
        bottleneck=Bottleneck.NETWORK_LATENCY,
        service=service,
        operation="",
        saving=Saving(work=(0.0,) * len(requests), wait=tuple(saved)),
        evidence=(
            f"{len(statements)} different statements of {service} to {database} have nothing in common but their way",
            f"99 of 100 take {floor * 1e3:.1f} ms or more",
            f"{made / len(requests):.1f} such statements per request",
        ),
        trace_ids=longest(requests),
        predictor="retime: statements spend as little on the network as within one site",
        doubts=(f"{database} itself may be slow as a whole: it records no time of its own",),
    )


def _network_calls(request: Request) -> list[tuple[Node, float]]:
    """Return the calls on the path with a server span, each with its seconds on the network, there and back."""
    found: dict[int, tuple[Node, float]] = {}
    for segment in request.path:
        if segment.where is not Where.SELF:
            _, before = found.get(id(segment.node), (segment.node, 0.0))
            found[id(segment.node)] = (segment.node, before + segment.duration_nanoseconds / _NANOSECONDS)
    return list(found.values())
