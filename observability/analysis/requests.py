"""Requests: the span trees of the synchronous operations that callers wait for, each with its critical path."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from observability.analysis.clock_offsets import ClockOffsets, clock_offsets_of
from observability.analysis.clock_skew import repair
from observability.analysis.conventions.operations import operation_of
from observability.analysis.critical_path import PathSegment, critical_path
from observability.analysis.entries import find_entries
from observability.analysis.retries import LogicalCall, logical_calls
from observability.analysis.trees import Node, Trace

_NANOSECONDS = 1e9


@dataclass(frozen=True)
class Request:
    """One request.

    root: its span tree, with consistent times.
    path: its critical path.
    wasted_nanoseconds: time that called services worked on after their caller had ended.
    """

    root: Node
    path: tuple[PathSegment, ...]
    wasted_nanoseconds: int = 0

    @property
    def service(self) -> str:
        """The service that received the request."""
        return self.root.span.service

    @property
    def operation(self) -> str:
        """The operation that was requested: the name of the root as a template."""
        return operation_of(self.root.span)

    @property
    def seconds(self) -> float:
        """The duration of the request."""
        return self.root.span.duration_nanoseconds / _NANOSECONDS

    @cached_property
    def retried(self) -> tuple[LogicalCall, ...]:
        """The calls within the request that took more than one attempt."""
        return logical_calls(self.root, self.path)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All spans of the request, parents before children, siblings in order."""
        return tuple(self.root.walk())

    @cached_property
    def _waited_for(self) -> dict[str, Node]:
        """The spans on the critical path by id, in order."""
        found: dict[str, Node] = {}
        for segment in self.path:
            found.setdefault(segment.node.span.span_id, segment.node)
        return found

    def waited_for(self) -> Iterable[Node]:
        """Return the distinct spans on the critical path, in order."""
        return self._waited_for.values()

    def seconds_below(self, top: Node) -> float:
        """Return the time on the critical path of a span and its descendants."""
        below = {node.span.span_id for node in top.walk()}
        on_path = (each.duration_nanoseconds for each in self.path if each.node.span.span_id in below)
        return sum(on_path) / _NANOSECONDS


@dataclass(frozen=True, slots=True)
class FoundRequests:
    """The complete requests of all operations.

    reasons: sentences about what was left out, and about spans that were moved.
    broken_share: share (0 to 1) of the requests' traces that lack spans.
    """

    requests: tuple[Request, ...]
    reasons: tuple[str, ...]
    broken_share: float


def find_requests(traces: Sequence[Trace]) -> FoundRequests:
    """Return the complete requests of all operations, and what else there is: see `entries`."""
    entries = find_entries(traces)
    offsets = clock_offsets_of(entries.roots)
    requests = tuple(_request(root, offsets) for root in entries.roots)
    return FoundRequests(requests, (*entries.reasons, *offsets.reasons), entries.broken_share)


def requests_of(traces: Sequence[Trace]) -> tuple[Request, ...]:
    """Return the complete requests of all operations; empty when there are none."""
    return find_requests(traces).requests


def total_seconds(requests: Iterable[Request]) -> float:
    """Return the sum of the requests' durations, at least a nanosecond, so that it can be divided by."""
    return sum(request.seconds for request in requests) or 1 / _NANOSECONDS


def services_on_paths(requests: Iterable[Request]) -> set[str]:
    """Return the services that the requests wait for."""
    return {segment.node.span.service for request in requests for segment in request.path}


def rate_per_second(requests: Sequence[Request]) -> float | None:
    """Return the arrival rate; None when all requests began at the same instant."""
    began = [request.root.span.start_nanoseconds for request in requests]
    spanned = max(began) - min(began)
    return (len(began) - 1) * _NANOSECONDS / spanned if spanned else None


def seconds(nodes: Iterable[Node]) -> float:
    """Return the sum of the spans' durations."""
    return sum(node.span.duration_nanoseconds for node in nodes) / _NANOSECONDS


def longest(requests: Sequence[Request], count: int = 3) -> tuple[str, ...]:
    """Return the trace ids of the slowest requests."""
    slowest = sorted(requests, key=lambda each: -each.seconds)[:count]
    return tuple(each.root.span.trace_id for each in slowest)


def _request(root: Node, offsets: ClockOffsets) -> Request:
    repaired = repair(root, offsets)
    return Request(repaired.root, critical_path(repaired.root), repaired.wasted_nanoseconds)
