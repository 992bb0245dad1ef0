"""Detector of a blocking call: a whole process is blocked while it neither works nor waits for a processor."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.operations import operation_of
from observability.analysis.critical_path import PathSegment, Where
from observability.analysis.detectors.candidate import LEAST_SHARE, UNHINDERED, Candidate
from observability.analysis.detectors.process_stalls import CodeInterval, code_intervals
from observability.analysis.detectors.service_processors import window
from observability.analysis.observation import Observation, TimedScrape
from observability.analysis.openmetrics import counter_deltas
from observability.analysis.processors import within
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest
from observability.analysis.spans import SpanKind
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# No convention names this metric yet, but this name is common: the delay of timers in an event loop, in seconds.
_LAG = re.compile(r"\w*event_?loop_lag_seconds")
# The measured lag must lie within this factor of the lag that the blocked intervals would cause. Below the least lag it
# proves nothing, since timers of an unblocked loop are a millisecond late too.
_LAG_FACTOR = 2.0
_LEAST_LAG_SECONDS = 0.003
# Processor counters leave out the time stolen from a virtual machine, and a process that works or waits for a processor
# makes its timers late by itself: require a clear excess over them.
_CLEARLY = 1.5
# An interval this many times longer than the median is unusual.
_UNUSUAL = 10.0


def find_blocking_call(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each service with more time in its own code than its process worked or waited for a core.

    Its event loop must lag as much as if it were blocked in all those intervals: a request that awaits something
    unrecorded delays only itself.
    """
    sampled = {each.process for each in observation.processes} if observation.scrapes else set()
    if not sampled:
        return []
    candidates = []
    for service, intervals in code_intervals(observation, requests, sampled).items():
        process = _process(observation, requests, service)
        lag = _lag_seconds(observation, requests, service)
        if process is None or lag is None:
            continue
        if _is_late(lag, intervals, process.seconds) and _seconds(intervals) > _CLEARLY * process.at_work_seconds:
            candidates.append(_candidate(service, intervals, process, lag, requests))
    return candidates


def unexplained_stalls(observation: Observation, requests: Sequence[Request]) -> list[str]:
    """Return a sentence for each event loop with long intervals of code whose cause the recorded data cannot show.

    Only a measured lag shows that a service has one loop, and that it stood still. Elsewhere a request that takes long
    in code delays only itself.
    """
    scraped = {each.target for each in observation.scrapes}
    if not scraped:
        return []
    start, end = window(requests)
    sentences = []
    for service, intervals in code_intervals(observation, requests, scraped).items():
        usual = quantile(sorted(interval.seconds for interval in intervals), 0.5)
        beyond = sum(max(0.0, interval.seconds - _UNUSUAL * usual) for interval in intervals)
        lag = _own_lag_seconds(observation, requests, service)
        if beyond < LEAST_SHARE * (end - start) or lag is None or not _is_late(lag, intervals, end - start):
            continue
        if _process(observation, requests, service) is None:
            sentences.append(
                f"{service} spends {beyond / (end - start):.0%} of the time in long stretches of its own code, and its "
                f"event loop is {lag * 1e3:.1f} ms late: record its processor use, to tell work from blocking"
            )
    return sentences


def _is_late(lag: float, intervals: Sequence[CodeInterval], seconds: float) -> bool:
    """Return whether a loop lags about as much as if it stood still in these intervals of the observed time.

    A timer that is due within an interval fires at its end, half an interval late on average.
    """
    expected = sum(interval.seconds**2 for interval in intervals) / 2 / seconds
    return expected >= _LEAST_LAG_SECONDS and expected / _LAG_FACTOR <= lag <= expected * _LAG_FACTOR


def _seconds(intervals: Sequence[CodeInterval]) -> float:
    return sum(interval.seconds for interval in intervals)


@dataclass(frozen=True, slots=True)
class _Process:
    """The time that a process was observed, and the part in which it worked or waited for a processor."""

    seconds: float
    at_work_seconds: float


def _process(observation: Observation, requests: Sequence[Request], service: str) -> _Process | None:
    """Return the usage of the process with the service's name while the requests arrived; None where it is unknown.

    It is unknown for several processes of one name and for a restarted one: their counters decrease.
    """
    start, end = window(requests)
    samples = [each for each in observation.processes if each.process == service and start <= each.at_seconds <= end]
    at_work = [each.cpu_seconds + each.wait_seconds for each in samples if each.wait_seconds is not None]
    if len(at_work) < max(len(samples), 2) or at_work != sorted(at_work):
        return None
    elapsed = samples[-1].at_seconds - samples[0].at_seconds
    return _Process(end - start, (at_work[-1] - at_work[0]) / elapsed * (end - start)) if elapsed > 0 else None


def _lag_seconds(observation: Observation, requests: Sequence[Request], service: str) -> float | None:
    """Return the mean event loop lag of a service while the requests arrived; None where it was not measured.

    If no scrape target has the service's name, the largest lag of all targets is taken.
    """
    by_target = _scrapes(observation, requests)
    if service in by_target:
        return _lag_of(by_target[service])
    return max((lag for scrapes in by_target.values() if (lag := _lag_of(scrapes)) is not None), default=None)


def _own_lag_seconds(observation: Observation, requests: Sequence[Request], service: str) -> float | None:
    """Return the mean event loop lag of the target with the service's name; None without one."""
    scrapes = _scrapes(observation, requests).get(service)
    return _lag_of(scrapes) if scrapes else None


def _scrapes(observation: Observation, requests: Sequence[Request]) -> dict[str, list[TimedScrape]]:
    """Return the scrapes by target while the requests arrived."""
    by_target: dict[str, list[TimedScrape]] = defaultdict(list)
    for scrape in within(observation, *window(requests)).scrapes:
        by_target[scrape.target].append(scrape)
    return by_target


def _lag_of(scrapes: Sequence[TimedScrape]) -> float | None:
    """Return the mean lag: of a histogram or summary between first and last scrape, or of a gauge over all scrapes."""
    first, last = scrapes[0].scrape, scrapes[-1].scrape
    counts = [name for name in last.samples if name.endswith("_count") and _LAG.fullmatch(name.removesuffix("_count"))]
    for name in counts:
        if count := sum(counter_deltas(first, last, name).values()):
            return sum(counter_deltas(first, last, f"{name.removesuffix('_count')}_sum").values()) / count
    for name in () if counts else filter(_LAG.fullmatch, last.samples):
        return fmean(fmean(each.scrape.samples[name].values()) for each in scrapes if name in each.scrape.samples)
    return None


def _candidate(
    service: str, intervals: Sequence[CodeInterval], process: _Process, lag: float, requests: Sequence[Request]
) -> Candidate:
    # The process may have done all its work within these intervals; it is spread evenly over them.
    usual = process.at_work_seconds / len(intervals)
    stalls = _Stalls(intervals, usual)
    unhindered = _unhindered(service, requests)
    saved = tuple(
        sum(stalls.lost_seconds(segment, unhindered(segment)) for segment in request.path if _needs(segment, service))
        for request in requests
    )
    running, working = _seconds(intervals) / process.seconds, process.at_work_seconds / process.seconds
    return Candidate(
        bottleneck=Bottleneck.BLOCKING_CALL,
        service=service,
        operation="",
        saving=Saving(work=(0.0,) * len(requests), wait=saved),
        evidence=(
            f"{running:.0%} of the time {service} is in one piece of its code, and nothing else in it makes progress",
            f"its process works or waits for a processor {working:.0%} of the time",
            f"timers of its event loop fire {lag * 1e3:.1f} ms late on average",
        ),
        trace_ids=longest(requests),
        predictor="queueing: without the wait for the event loop",
    )


class _Stalls:
    """Intervals in which a process was blocked, in order of time; in each it may have worked for `usual_seconds`."""

    def __init__(self, intervals: Sequence[CodeInterval], usual_seconds: float) -> None:
        self._intervals = [interval for interval in intervals if interval.seconds > usual_seconds]
        self._ends = [interval.end for interval in self._intervals]
        self._usual_seconds = usual_seconds

    def lost_seconds(self, segment: PathSegment, unhindered_seconds: float) -> float:
        """Return the time that a segment of a path lost to blocking, at most its excess over an undisturbed one."""
        lost = 0.0
        for number in range(bisect_right(self._ends, segment.start_nanoseconds), len(self._intervals)):
            interval = self._intervals[number]
            if interval.start >= segment.end_nanoseconds:
                break
            lost += interval.overlap_seconds(segment) * (1 - self._usual_seconds / interval.seconds)
        return min(lost, max(0.0, segment.duration_nanoseconds / _NANOSECONDS - unhindered_seconds))


def _needs(segment: PathSegment, service: str) -> bool:
    """Return whether a segment needs the event loop of a service: within its spans, and on the way to or from them."""
    if segment.node.span.service == service:
        return True
    called = (child.span for child in segment.node.children if child.span.kind is SpanKind.SERVER)
    return segment.where is not Where.SELF and any(span.service == service for span in called)


def _unhindered(service: str, requests: Sequence[Request]) -> Callable[[PathSegment], float]:
    """Return a function from a segment to its undisturbed duration in seconds: the fastest tenth of similar ones."""
    taken: dict[tuple[str, str, Where], list[float]] = defaultdict(list)
    for segment in (each for request in requests for each in request.path if _needs(each, service)):
        taken[_kind(segment)].append(segment.duration_nanoseconds / _NANOSECONDS)
    fastest = {kind: quantile(sorted(seconds), UNHINDERED) for kind, seconds in taken.items()}
    return lambda segment: fastest[_kind(segment)]


def _kind(segment: PathSegment) -> tuple[str, str, Where]:
    return segment.node.span.service, operation_of(segment.node.span), segment.where
