"""Detector of overload: more requests arrive than can be completed, and none are rejected.

All requests are admitted and share a saturated resource, so that each takes longer, until answers come too late and
their work is wasted. Four signs are needed: useless answers that were not rejected early (early rejections cost almost
nothing: they are the fix), a saturated resource, less work completed than offered, and useless answers in both halves
of the observation.

A saturated resource makes all that waits for it look slow: connections that are held while their holders wait for the
processor, calls to an event loop that is too busy to read them. These are symptoms and are not named beside overload. A
cause that keeps the resource busy is named instead, if it explains at least half as much of the requests' time.

The fix is to reject early what cannot be completed in time. The same work then completes fewer requests, but completes
them: the steps (spans) of all requests in the second half, divided by the steps of one complete request. This assumes
steps of about equal work, rejections at almost no cost, an equally busy platform, and unchanged asynchronous work after
the answers. More requests complete with the fix and cause such work, so the prediction is slightly too high.
"""

from collections.abc import Iterable, Sequence

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import clopper_pearson
from observability.analysis.detectors.candidate import LEAST_SHARE, UNHINDERED, Candidate
from observability.analysis.observation import Observation, Requests
from observability.analysis.processors import fullest
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest, services_on_paths
from observability.analysis.resources import pools
from observability.analysis.spans import SpanKind
from observability.analysis.whatif import Saving, changed_goodput

_NANOSECONDS = 1e9
# A lower utilisation than 1, since samples once a second miss some time, and so do gaps between two users.
SATURATED = 0.90
# Below this share of the offered rate the completed rate is clearly lower; random arrivals vary this much.
_KEEPS_UP = 0.95
# A request that fails within this share of its deadline was rejected early and wasted no work.
_EARLY_SHARE = 0.25


def find_overload(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate if requests fail while a resource is saturated; the fix rejects what cannot be completed."""
    seen = observation.requests
    if seen is None or seen.patience_seconds is None or not requests:
        return []
    if min(_lost(seen)) < LEAST_SHARE or not (saturated := _saturated(observation, requests)):
        return []
    finished = _finished_per_second(seen, requests)
    if finished >= _KEEPS_UP * seen.offered_per_second:
        return []
    return [_candidate(seen, requests, saturated, finished)]


def _candidate(seen: Requests, requests: Sequence[Request], saturated: str, finished: float) -> Candidate:
    usual = quantile(sorted(request.seconds for request in requests), UNHINDERED)
    return Candidate(
        bottleneck=Bottleneck.OVERLOAD,
        service=requests[0].root.span.service,
        operation="",
        saving=Saving(
            work=(0.0,) * len(requests), wait=tuple(max(0.0, request.seconds - usual) for request in requests)
        ),
        evidence=(
            seen.useful_summary(),
            saturated,
            f"the same work could complete {finished:.1f} requests a second",
            f"on average {_wasted_seconds(seen):.2f} of the requests in progress never get a useful answer",
        ),
        trace_ids=longest(requests),
        predictor="work: all work goes into requests that complete in time",
        goodput=changed_goodput(
            seen.useful_per_second, finished, requests=len(seen.latencies_seconds), seconds=seen.seconds
        ),
    )


def _lost(seen: Requests) -> tuple[float, float]:
    """Return the lower bound of the share of requests that failed late, for each half of the observation."""
    early = _EARLY_SHARE * (seen.patience_seconds or 0.0)
    lost = [
        not useful and latency > early for useful, latency in zip(seen.useful(), seen.latencies_seconds, strict=True)
    ]
    half = len(lost) // 2
    return _share_at_least(lost[:half]), _share_at_least(lost[half:])


def _share_at_least(lost: Sequence[bool]) -> float:
    return clopper_pearson(sum(lost), len(lost))[0] if lost else 0.0


def _saturated(observation: Observation, requests: Sequence[Request]) -> str:
    """Return a sentence about the resource that was saturated while requests arrived; empty when there was none."""
    used = fullest(observation.during_requests(), services_on_paths(requests))
    if used is not None and (used.fullness or 0.0) >= SATURATED:
        return f"the processor was {used.fullness:.0%} busy"
    for pool in pools(observation.during_requests()):
        if pool.full_share >= SATURATED:
            full = f"in use in {pool.full_share:.0%} of the scrapes"
            return f"all {pool.limit:.0f} connections of pool {pool.name!r} were {full}"
    return ""


def _finished_per_second(seen: Requests, requests: Sequence[Request]) -> float:
    """Return the rate of requests that the work of the second half would complete.

    Work is counted in steps of equal size; a complete request has as many steps as p90 of all requests. If all requests
    complete, the result is their rate.
    """
    middle = (seen.from_seconds + seen.until_seconds) / 2
    steps = sum(middle < ended <= seen.until_seconds for request in requests for ended in _step_ends_seconds(request))
    return steps / _steps_per_request(requests) / (seen.until_seconds - middle)


def _steps_per_request(requests: Sequence[Request]) -> float:
    return quantile(sorted(float(len(list(_step_ends_seconds(request)))) for request in requests), 0.9)


def _step_ends_seconds(request: Request) -> Iterable[float]:
    """Return when each synchronous step of a request ended, in seconds since the Unix epoch."""
    return (
        node.span.end_nanoseconds / _NANOSECONDS for node in request.nodes if node.span.kind is not SpanKind.CONSUMER
    )


def _wasted_seconds(seen: Requests) -> float:
    """Return the time of requests without a useful answer, in seconds per second."""
    return (
        sum(latency for useful, latency in zip(seen.useful(), seen.latencies_seconds, strict=True) if not useful)
        / seen.seconds
    )
