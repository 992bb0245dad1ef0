"""Overload: is more asked than can be done, and does nothing say no?

All who come are let in and share what there is, so that each takes longer, until answers come when nobody waits for
them any more. Who gives up has been worked for in vain. Four things must be there: answers that are of no use and took
their time (those that are turned away at once cost nothing, and are the fix at work), something that has no time left,
less work done than asked for, and all that in both halves of the time.

Whatever has no time left makes everything that waits for it look slow: connections that are held while their holders
wait for the processor, calls on their way to a loop that does not come to read them. So these have no name beside
overload; what keeps the resource busy has, where it explains half as much of the requests' time.

The fix is to turn away what cannot be done in time. Then the work that is done now is done for fewer requests, and for
each of them to its end: by the steps of all requests late in the observation, over those of a whole one. That holds
where each step is about as much work as another, saying no costs next to nothing, the platform stays as full as it was,
and what goes on after the answers takes as much as now; more of them are whole then, so that this is a little too high.
"""

from collections.abc import Iterable, Sequence

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import clopper_pearson
from observability.analysis.detectors.candidate import LEAST_SHARE, UNHINDERED, Candidate
from observability.analysis.observation import Observation, Requests
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest
from observability.analysis.resources import pools, utilisation
from observability.analysis.spans import SpanKind
from observability.analysis.whatif import Saving, changed_goodput

_NANOSECONDS = 1e9
# Of its time; the rest is what a look every second misses, and what falls between two that share it.
SATURATED = 0.90
# Less than this share of what is asked is clearly less; that much chance does to arrivals.
_KEEPS_UP = 0.95
# Who is turned away within this share of the time that there is has not been worked for.
_AT_ONCE = 0.25


def find_overload(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Requests that come to nothing while something works all the time: what would be done if the rest were refused."""
    seen = observation.requests
    if seen is None or seen.patience_seconds is None or not requests:
        return []
    if min(_lost(seen)) < LEAST_SHARE or not (saturated := _saturated(observation)):
        return []
    finished = _finished_per_second(seen, requests)
    if finished >= _KEEPS_UP * seen.offered_per_second:
        return []
    return [_suspect(seen, requests, saturated, finished)]


def _suspect(seen: Requests, requests: Sequence[Request], saturated: str, finished: float) -> Candidate:
    usual = quantile(sorted(request.seconds for request in requests), UNHINDERED)
    return Candidate(
        bottleneck=Bottleneck.OVERLOAD,
        service=requests[0].root.span.service,
        operation="",
        saving=Saving(
            work=(0.0,) * len(requests), wait=tuple(max(0.0, request.seconds - usual) for request in requests)
        ),
        evidence=(
            seen.useful_in_words(),
            saturated,
            f"work was done for {finished:.1f} requests a second",
            f"{_in_vain_seconds(seen):.2f} s a second were spent by requests that came to nothing",
        ),
        trace_ids=longest(requests),
        predictor="work: what is done now is done for as many requests as that is enough for, and in time",
        goodput=changed_goodput(
            seen.useful_per_second, finished, requests=len(seen.latencies_seconds), seconds=seen.seconds
        ),
    )


def _lost(seen: Requests) -> tuple[float, float]:
    """Give the share of the requests that came to nothing and took their time, at least, in each half of the time."""
    at_once = _AT_ONCE * (seen.patience_seconds or 0.0)
    lost = [
        not useful and latency > at_once for useful, latency in zip(seen.useful(), seen.latencies_seconds, strict=True)
    ]
    half = len(lost) // 2
    return _share_at_least(lost[:half]), _share_at_least(lost[half:])


def _share_at_least(lost: Sequence[bool]) -> float:
    return clopper_pearson(sum(lost), len(lost))[0] if lost else 0.0


def _saturated(observation: Observation) -> str:
    """Say which resource had no time left while requests came; nothing where each had."""
    busy = utilisation(observation.during_requests())
    if busy is not None and busy >= SATURATED:
        return f"the processor was {busy:.0%} busy"
    for pool in pools(observation.during_requests()):
        if pool.full_share >= SATURATED:
            return f"all {pool.limit:.0f} of pool {pool.name!r} were in use at {pool.full_share:.0%} of the looks"
    return ""


def _finished_per_second(seen: Requests, requests: Sequence[Request]) -> float:
    """Give for how many requests work was done a second, late in the observation: those that were not finished in part.

    By the steps that were taken, each of which is taken for as much work; a request that comes to its end takes as many
    as nine of ten that were answered. Where all come to an end that is how many do.
    """
    middle = (seen.from_seconds + seen.until_seconds) / 2
    whole = _steps_of_a_whole_one(requests)
    taken = sum(middle < ended <= seen.until_seconds for request in requests for ended in _step_ends_seconds(request))
    return taken / whole / (seen.until_seconds - middle)


def _steps_of_a_whole_one(requests: Sequence[Request]) -> float:
    return quantile(sorted(float(len(list(_step_ends_seconds(request)))) for request in requests), 0.9)


def _step_ends_seconds(request: Request) -> Iterable[float]:
    """Give when each step ended: everything that was done for it before its answer."""
    return (
        node.span.end_nanoseconds / _NANOSECONDS
        for node in request.root.walk()
        if node.span.kind is not SpanKind.CONSUMER
    )


def _in_vain_seconds(seen: Requests) -> float:
    """Give how long requests that were of no use took, all together, a second."""
    return (
        sum(latency for useful, latency in zip(seen.useful(), seen.latencies_seconds, strict=True) if not useful)
        / seen.seconds
    )
