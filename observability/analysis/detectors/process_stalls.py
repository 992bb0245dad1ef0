"""Intervals in which a request waited only for a service's own code, split where spans of the service begin or end."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from observability.analysis.clock_skew import repair
from observability.analysis.conventions.database import acquires_a_connection
from observability.analysis.critical_path import PathSegment, Where, critical_path
from observability.analysis.observation import Observation
from observability.analysis.requests import Request
from observability.analysis.spans import SpanKind

_NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class CodeInterval:
    """An interval in which only a service's own code ran, in nanoseconds since the Unix epoch."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """The length of the interval."""
        return (self.end - self.start) / _NANOSECONDS

    def overlap_seconds(self, segment: PathSegment) -> float:
        """Return the time that a segment of a path shares with the interval."""
        common = min(self.end, segment.end_nanoseconds) - max(self.start, segment.start_nanoseconds)
        return max(0, common) / _NANOSECONDS


def is_own(segment: PathSegment) -> bool:
    """Return whether a segment is a service's own code, without a recorded wait."""
    span = segment.node.span
    return segment.where is Where.SELF and span.kind is not SpanKind.CLIENT and not acquires_a_connection(span)


def code_intervals(
    observation: Observation, requests: Sequence[Request], services: Container[str]
) -> dict[str, list[CodeInterval]]:
    """Return by service the intervals in which a request waited only for the service's own code, in order of time.

    All operations count, since one event loop serves them all. An interval is split where a span of the service begins
    or ends: there the process was not blocked.
    """
    own: dict[str, list[CodeInterval]] = defaultdict(list)
    for path in paths_of(observation, requests):
        for segment in path:
            if segment.node.span.service in services and is_own(segment):
                own[segment.node.span.service].append(CodeInterval(segment.start_nanoseconds, segment.end_nanoseconds))
    signs = _span_bounds(observation, requests, services)
    return {service: list(_cut(_joined(intervals), signs[service])) for service, intervals in own.items()}


def paths_of(observation: Observation, requests: Sequence[Request]) -> Iterator[tuple[PathSegment, ...]]:
    """Yield the critical paths of the requests, and those of the servers' other operations."""
    known = {request.root.span.trace_id for request in requests}
    yield from (request.path for request in requests)
    for trace in observation.traces:
        if trace.whole and trace.trace_id not in known and trace.roots[0].span.kind is SpanKind.SERVER:
            yield critical_path(repair(trace.roots[0]).root)


def _span_bounds(
    observation: Observation, requests: Sequence[Request], services: Container[str]
) -> dict[str, list[int]]:
    """Return by service the sorted times at which its spans began or ended, for requests after clock correction."""
    repaired = {request.root.span.trace_id: request.root for request in requests}
    signs: dict[str, list[int]] = defaultdict(list)
    for trace in observation.traces:
        tops = (repaired[trace.trace_id],) if trace.trace_id in repaired else (*trace.roots, *trace.orphans)
        for node in (each for top in tops for each in top.walk()):
            if node.span.service in services:
                signs[node.span.service] += (node.span.start_nanoseconds, node.span.end_nanoseconds)
    return {service: sorted(times) for service, times in signs.items()}


def _joined(intervals: Iterable[CodeInterval]) -> list[CodeInterval]:
    """Return the intervals with those that touch or overlap merged."""
    joined: list[CodeInterval] = []
    for each in sorted(intervals, key=lambda interval: (interval.start, interval.end)):
        if joined and each.start <= joined[-1].end:
            joined[-1] = CodeInterval(joined[-1].start, max(joined[-1].end, each.end))
        else:
            joined.append(each)
    return joined


def _cut(intervals: Iterable[CodeInterval], times: Sequence[int]) -> Iterable[CodeInterval]:
    for each in intervals:
        within = times[bisect_right(times, each.start) : bisect_left(times, each.end)]
        yield from (CodeInterval(*ends) for ends in pairwise((each.start, *within, each.end)) if ends[0] < ends[1])
