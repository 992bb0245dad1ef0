"""When was a process busy with its own code, or stood still, so that nothing else in it went on?"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from observability.analysis.clock_skew import repair
from observability.analysis.critical_path import PathSegment, Where, critical_path
from observability.analysis.observation import Observation
from observability.analysis.requests import Request
from observability.analysis.spans import SpanKind

_NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time, in nanoseconds since the Unix epoch."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start) / _NANOSECONDS

    def overlap_seconds(self, segment: PathSegment) -> float:
        """How much of it a segment of a path covers."""
        common = min(self.end, segment.end_nanoseconds) - max(self.start, segment.start_nanoseconds)
        return max(0, common) / _NANOSECONDS


def is_own(segment: PathSegment) -> bool:
    """Say whether a segment is the code of a service, which waited for nothing that anybody recorded."""
    return segment.where is Where.SELF and segment.node.span.kind is not SpanKind.CLIENT


def still_stretches(observation: Observation, requests: Sequence[Request]) -> dict[str, list[Stretch]]:
    """Give the stretches in which a request had only a service's own code to wait for, by service, in order of time.

    Whatever was asked of it: one loop stands still for all operations. They are cut wherever a span of the service
    begins or ends: its process had no time for that within one of them.
    """
    own: dict[str, list[Stretch]] = defaultdict(list)
    for path in _paths(observation, requests):
        for segment in filter(is_own, path):
            own[segment.node.span.service].append(Stretch(segment.start_nanoseconds, segment.end_nanoseconds))
    signs = _signs_of_life(observation, requests)
    return {service: list(_cut(_joined(stretches), signs[service])) for service, stretches in own.items()}


def _paths(observation: Observation, requests: Sequence[Request]) -> Iterator[tuple[PathSegment, ...]]:
    """Give the paths of the requests, and of what else a server was asked."""
    known = {request.root.span.trace_id for request in requests}
    yield from (request.path for request in requests)
    for trace in observation.traces:
        if trace.whole and trace.trace_id not in known and trace.roots[0].span.kind is SpanKind.SERVER:
            yield critical_path(repair(trace.roots[0]).root)


def _signs_of_life(observation: Observation, requests: Sequence[Request]) -> dict[str, list[int]]:
    """Give when spans of each service began or ended; those of the requests as they were repaired."""
    repaired = {request.root.span.trace_id: request.root for request in requests}
    signs: dict[str, list[int]] = defaultdict(list)
    for trace in observation.traces:
        tops = (repaired[trace.trace_id],) if trace.trace_id in repaired else (*trace.roots, *trace.orphans)
        for node in (each for top in tops for each in top.walk()):
            signs[node.span.service] += (node.span.start_nanoseconds, node.span.end_nanoseconds)
    return {service: sorted(times) for service, times in signs.items()}


def _joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Make one of those that touch or overlap."""
    joined: list[Stretch] = []
    for each in sorted(stretches, key=lambda stretch: (stretch.start, stretch.end)):
        if joined and each.start <= joined[-1].end:
            joined[-1] = Stretch(joined[-1].start, max(joined[-1].end, each.end))
        else:
            joined.append(each)
    return joined


def _cut(stretches: Iterable[Stretch], times: Sequence[int]) -> Iterable[Stretch]:
    for each in stretches:
        within = times[bisect_right(times, each.start) : bisect_left(times, each.end)]
        yield from (Stretch(*ends) for ends in pairwise((each.start, *within, each.end)) if ends[0] < ends[1])
