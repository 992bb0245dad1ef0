"""Reasons to answer `cannot tell` instead of `none`: unexplained signs of trouble, and data that is missing."""

from collections.abc import Iterator, Sequence

from observability.analysis.comparison import clopper_pearson
from observability.analysis.detectors.blocking_call import unexplained_stalls
from observability.analysis.detectors.candidate import LEAST_SHARE
from observability.analysis.detectors.payload import growing_calls
from observability.analysis.observation import Observation
from observability.analysis.processor_use import BUSY
from observability.analysis.processors import by_service, fullest
from observability.analysis.requests import Request, services_on_paths, total_seconds
from observability.analysis.resources import database_seconds
from observability.analysis.time_table import TimeKind, TimeRow, TimeTable

# A system is not called healthy if a third of its time is one call or wait: nothing tells whether that could be less.
STANDS_OUT = 1 / 3
# Calls with a longer mean are no ordinary work of a database in the same network.
SLOW_SECONDS = 0.010
# A service's code counts as at work when its processor time is at least half of what requests spent in its code.
_AT_WORK = 0.5
_TOO_LITTLE_KNOWN = (
    "nothing stands out, but everything may be equally slow: record the processor use or an objective to rule that out"
)
# Kinds of database wait that say something about the machine and not about locks.
_HARMLESS_WAITS = frozenset({"CPU", "Client", "Activity", "IO", "LWLock", "IPC", "BufferPin", "Extension", "Timeout"})


def reasons_against_none(observation: Observation, requests: Sequence[Request], table: TimeTable) -> tuple[str, ...]:
    """Return a sentence for each reason; none when all that matters was recorded, and nothing stands out.

    `table` is where the requests' time goes.
    """
    met, promised = objective(observation)
    used = fullest(observation, services_on_paths(requests))
    reasons = [*unexplained_stalls(observation, requests), *_standing_out(observation, requests, table)]
    if used is not None and (busy := used.fullness or 0.0) >= BUSY:
        reasons.append(
            f"the processor is {busy:.0%} busy, which no known class of bottleneck explains: {used.sentence()}"
        )
    reasons.extend(_waits(observation, total_seconds(requests)))
    if not met:
        reasons.extend(f"{each}, and no known class of bottleneck explains it" for each in promised)
    if not reasons and used is None and not promised:
        reasons.append(_TOO_LITTLE_KNOWN)
    return tuple(reasons)


def objective(observation: Observation) -> tuple[bool, tuple[str, ...]]:
    """Return whether the clients' objective may have been met, and a sentence about it; none without an objective.

    It is missed when the upper bound of the share of fast requests (Clopper-Pearson, 95 %) is below the objective, and
    in both halves of the observation the share is below it too: one short disturbance delays many requests.
    """
    seen = observation.requests
    if seen is None or seen.objective is None or not seen.latencies_seconds:
        return True, ()
    promised, latencies = seen.objective, seen.latencies_seconds
    count = len(latencies)
    within = promised.share_within(latencies)
    _, at_most = clopper_pearson(round(within * count), count)
    halves = (latencies[: count // 2] or latencies, latencies[count // 2 :])
    missed = at_most < promised.share and all(promised.share_within(half) < promised.share for half in halves)
    result = "missed" if missed else "met" if within >= promised.share else "missed, but within chance"
    share = f"{100 * within:.5g}% of {count} requests took at most {promised.seconds:g} s"
    return not missed, (f"the objective is {result}: {share}, target {100 * promised.share:.5g}%",)


def standing_out(table: TimeTable) -> list[TimeRow]:
    """Return the calls, waits and transits that take a large share of the time.

    Many quick calls of one database are ordinary work. Where they are slow on average, they stand out together.
    """
    large = [row for row in table.rows if row.kind is not TimeKind.CODE and row.share.value >= STANDS_OUT]
    known = {(row.kind, row.service, row.peer) for row in large}
    together = (
        row
        for row in table.by_service
        if row.kind is not TimeKind.CODE
        and row.share.value >= STANDS_OUT
        and (row.kind is not TimeKind.CALL or row.seconds_per_call >= SLOW_SECONDS)
    )
    return [*large, *(row for row in together if (row.kind, row.service, row.peer) not in known)]


def _standing_out(observation: Observation, requests: Sequence[Request], table: TimeTable) -> Iterator[str]:
    """Yield a sentence for each call, wait or transit with a large share, and each service whose code may only wait."""
    for row in standing_out(table):
        yield f"{row.share.value:.0%} of the time goes to {row.name}, and no known class of bottleneck explains it"
    for each in growing_calls(requests):
        if sum(each.saved) >= LEAST_SHARE / 2 * total_seconds(requests):
            yield f"{each.sentence(requests)}, besides what its ends spend on them elsewhere"
    for row in table.by_service:
        is_large = row.kind is TimeKind.CODE and row.share.value >= STANDS_OUT
        if is_large and not _is_at_work(observation, requests, row):
            yield f"{row.share.value:.0%} of the time goes to {row.name}; it is unknown whether it computes or waits"


def _is_at_work(observation: Observation, requests: Sequence[Request], code: TimeRow) -> bool:
    """Return whether processor time accounts for the time that requests spent in a service's code.

    On a shared processor x seconds of work take x / (1 - utilisation).
    """
    used = by_service(observation, (code.service,)).get(code.service)
    if used is None or used.fullness == 1:
        return False
    worked = used.used * _seconds_of_requests(requests) / (1 - (used.fullness or 0.0))
    recorded = observation.coverage.share if observation.coverage else 1.0
    return worked * recorded >= _AT_WORK * code.seconds


def _seconds_of_requests(requests: Sequence[Request]) -> float:
    """Return the time from the first request's start to the last one's end."""
    spans = [request.root.span for request in requests]
    return (max(span.end_nanoseconds for span in spans) - min(span.start_nanoseconds for span in spans)) / 1e9


def _waits(observation: Observation, whole_seconds: float) -> Iterator[str]:
    """Yield a sentence for each kind of wait of database sessions that takes a tenth of the requests' time for sure."""
    for kind, waited in database_seconds(observation).items():
        if kind not in _HARMLESS_WAITS and waited.low >= LEAST_SHARE * whole_seconds:
            yield (
                f"database sessions wait for {kind} for {waited.value / whole_seconds:.0%} of the requests' time, "
                "which no known class of bottleneck explains"
            )
