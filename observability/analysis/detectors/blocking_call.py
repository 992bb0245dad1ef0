"""Blocking call: does a whole process stand still, though it neither works nor waits for a processor?"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.critical_path import PathSegment, Where
from observability.analysis.detectors.candidate import LEAST_SHARE, UNHINDERED, Candidate
from observability.analysis.detectors.process_stalls import Stretch, still_stretches
from observability.analysis.observation import Observation, TimedScrape
from observability.analysis.openmetrics import counter_deltas
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest
from observability.analysis.spans import SpanKind
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# No convention names it yet, but everybody calls it so: how late an event loop wakes who sleeps in it, in seconds.
_LAG = re.compile(r"\w*event_?loop_lag_seconds")
# By how much the lag may be more, or less, than that of a loop that cannot go on in any of the stretches; below the
# least lag it says nothing, since timers of a loop that nobody blocks come a millisecond late too.
_LAG_FACTOR = 2.0
_LEAST_LAG_SECONDS = 0.003
# Counters of the processor leave out what a virtual machine was not given: only clearly more than they tell is more.
_CLEARLY = 1.2
# A stretch of code so many times as long as usual is no usual code.
_UNUSUAL = 10.0


def find_blocking_call(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Stretches of a service's own code that are longer, all together, than its process worked and waited to work.

    And its event loop is as late as it must be when it stands still in all of them: a request that awaits what nobody
    recorded holds up itself alone.
    """
    suspects = []
    for service, stretches in still_stretches(observation, requests).items():
        process = _process(observation, requests, service)
        lag = _lag_seconds(observation, requests, service)
        if process is None or lag is None:
            continue
        # A sleeper that is due within a stretch is woken at its end, half a stretch later on average.
        expected = sum(stretch.seconds**2 for stretch in stretches) / 2 / process.seconds
        late = expected >= _LEAST_LAG_SECONDS and expected / _LAG_FACTOR <= lag <= expected * _LAG_FACTOR
        if late and _seconds(stretches) > _CLEARLY * process.at_work_seconds:
            suspects.append(_suspect(service, stretches, process, lag, requests))
    return suspects


def unexplained_stillness(observation: Observation, requests: Sequence[Request]) -> list[str]:
    """Give a sentence for each service whose code often takes long at once, and nobody knows what it does meanwhile."""
    start, end = _window(requests)
    said = []
    for service, stretches in still_stretches(observation, requests).items():
        usual = quantile(sorted(stretch.seconds for stretch in stretches), 0.5)
        beyond = sum(max(0.0, stretch.seconds - _UNUSUAL * usual) for stretch in stretches)
        if beyond < LEAST_SHARE * (end - start):
            continue
        process, lag = _process(observation, requests, service), _lag_seconds(observation, requests, service)
        if process is None:
            unknown = "works"
        elif lag is None and _seconds(stretches) > _CLEARLY * process.at_work_seconds:
            unknown = "stands still"
        else:
            continue
        said.append(
            f"long stretches of code of {service} take {beyond / (end - start):.0%} of the time, and whether its "
            f"process {unknown} in them is unknown"
        )
    return said


def _seconds(stretches: Sequence[Stretch]) -> float:
    return sum(stretch.seconds for stretch in stretches)


@dataclass(frozen=True, slots=True)
class _Process:
    """For how long a process was looked at, and for how long of it it worked or waited for a processor."""

    seconds: float
    at_work_seconds: float


def _process(observation: Observation, requests: Sequence[Request], service: str) -> _Process | None:
    """Describe the process that is called like a service, while the requests came; None where that is unknown.

    So it is of several processes of one name, and of one that began anew: their counters go down.
    """
    start, end = _window(requests)
    looks = [each for each in observation.processes if each.process == service and start <= each.at_seconds <= end]
    at_work = [each.cpu_seconds + each.wait_seconds for each in looks if each.wait_seconds is not None]
    if len(at_work) < max(len(looks), 2) or at_work != sorted(at_work):
        return None
    elapsed = looks[-1].at_seconds - looks[0].at_seconds
    return _Process(end - start, (at_work[-1] - at_work[0]) / elapsed * (end - start)) if elapsed > 0 else None


def _window(requests: Sequence[Request]) -> tuple[float, float]:
    """Give when the first request began and the last one ended, in seconds."""
    start = min(request.root.span.start_nanoseconds for request in requests)
    return start / _NANOSECONDS, max(request.root.span.end_nanoseconds for request in requests) / _NANOSECONDS


def _lag_seconds(observation: Observation, requests: Sequence[Request], service: str) -> float | None:
    """Give how late the event loop of a service is on average while the requests come; None where nobody measured it.

    Where nothing that was scraped is called like the service it may be any of them: the latest.
    """
    start, end = _window(requests)
    by_target: dict[str, list[TimedScrape]] = defaultdict(list)
    for scrape in observation.scrapes:
        by_target[scrape.target].append(scrape)
    by_target = {target: _around(scrapes, start, end) for target, scrapes in by_target.items()}
    if service in by_target:
        return _lag_of(by_target[service])
    return max((lag for scrapes in by_target.values() if (lag := _lag_of(scrapes)) is not None), default=None)


def _around(scrapes: Sequence[TimedScrape], start: float, end: float) -> list[TimedScrape]:
    """Give those in a stretch of time, the last one before it and the first one after it."""
    first = max((number for number, each in enumerate(scrapes) if each.at_seconds <= start), default=0)
    last = min((number for number, each in enumerate(scrapes) if each.at_seconds >= end), default=len(scrapes))
    return list(scrapes[first : last + 1])


def _lag_of(scrapes: Sequence[TimedScrape]) -> float | None:
    """Give the mean of a histogram or a summary between the first scrape and the last, or that of a gauge over all."""
    first, last = scrapes[0].scrape, scrapes[-1].scrape
    counts = [name for name in last.samples if name.endswith("_count") and _LAG.fullmatch(name.removesuffix("_count"))]
    for name in counts:
        if count := sum(counter_deltas(first, last, name).values()):
            return sum(counter_deltas(first, last, f"{name.removesuffix('_count')}_sum").values()) / count
    for name in () if counts else filter(_LAG.fullmatch, last.samples):
        return fmean(fmean(each.scrape.samples[name].values()) for each in scrapes if name in each.scrape.samples)
    return None


def _suspect(
    service: str, stretches: Sequence[Stretch], process: _Process, lag: float, requests: Sequence[Request]
) -> Candidate:
    # All that the process did may have been done in these stretches, in each as much.
    usual = process.at_work_seconds / len(stretches)
    stalls = _Stalls(stretches, usual)
    unhindered = _unhindered(service, requests)
    saved = tuple(
        sum(stalls.lost_seconds(segment, unhindered(segment)) for segment in request.path if _needs(segment, service))
        for request in requests
    )
    running, working = _seconds(stretches) / process.seconds, process.at_work_seconds / process.seconds
    return Candidate(
        bottleneck=Bottleneck.BLOCKING_CALL,
        service=service,
        operation="",
        saving=Saving(work=(0.0,) * len(requests), wait=saved),
        evidence=(
            f"code of {service} runs, and nothing else goes on there, {running:.0%} of the time",
            f"its process works or waits for a processor {working:.0%} of the time",
            f"its event loop wakes who sleeps {lag * 1e3:.1f} ms late",
        ),
        trace_ids=longest(requests),
        predictor="queueing: the wait for the event loop goes away",
    )


class _Stalls:
    """Stretches in which a process stood still, in order of time; `usual_seconds` of each it may have worked."""

    def __init__(self, stretches: Sequence[Stretch], usual_seconds: float) -> None:
        self._stretches = [stretch for stretch in stretches if stretch.seconds > usual_seconds]
        self._ends = [stretch.end for stretch in self._stretches]
        self._usual_seconds = usual_seconds

    def lost_seconds(self, segment: PathSegment, unhindered_seconds: float) -> float:
        """Give what a segment of a path lost to them: never more than it took longer than if nothing hinders it."""
        lost = 0.0
        for number in range(bisect_right(self._ends, segment.start_nanoseconds), len(self._stretches)):
            stretch = self._stretches[number]
            if stretch.start >= segment.end_nanoseconds:
                break
            lost += stretch.overlap_seconds(segment) * (1 - self._usual_seconds / stretch.seconds)
        return min(lost, max(0.0, segment.duration_nanoseconds / _NANOSECONDS - unhindered_seconds))


def _needs(segment: PathSegment, service: str) -> bool:
    """Say whether the event loop of a service must run for a segment to end: in its spans, and on the way to them."""
    if segment.node.span.service == service:
        return True
    called = (child.span for child in segment.node.children if child.span.kind is SpanKind.SERVER)
    return segment.where is not Where.SELF and any(span.service == service for span in called)


def _unhindered(service: str, requests: Sequence[Request]) -> Callable[[PathSegment], float]:
    """Give what tells how many seconds a segment takes that nothing hinders: the fastest tenth of those like it."""
    taken: dict[tuple[str, str, Where], list[float]] = defaultdict(list)
    for segment in (each for request in requests for each in request.path if _needs(each, service)):
        taken[_kind(segment)].append(segment.duration_nanoseconds / _NANOSECONDS)
    fastest = {kind: quantile(sorted(seconds), UNHINDERED) for kind, seconds in taken.items()}
    return lambda segment: fastest[_kind(segment)]


def _kind(segment: PathSegment) -> tuple[str, str, Where]:
    return segment.node.span.service, segment.node.span.name, segment.where
