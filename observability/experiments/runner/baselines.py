"""Baselines to compare the diagnosis with: three simple rules that each blame one operation by a single figure.

An operation is (service, name of the span); None stands for an observation without requests.
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from statistics import fmean, stdev

from observability.analysis.observation import Observation
from observability.analysis.requests import requests_of
from observability.analysis.trees import Node
from observability.analysis.waterfall import self_nanoseconds

_NANOSECONDS = 1e9

Operation = tuple[str, str]


def largest_self_time(observation: Observation) -> Operation | None:
    """Return the operation with the largest self time over all requests."""
    spent: dict[Operation, float] = defaultdict(float)
    for request in requests_of(observation.traces):
        for node in request.root.walk():
            spent[_operation(node)] += self_nanoseconds(node)
    return _largest(spent)


def largest_path_growth(observation: Observation, healthy: Observation) -> Operation | None:
    """Return the operation whose time on the critical path has grown most since the healthy run."""
    now, then = path_seconds(observation), path_seconds(healthy)
    return _largest({operation: taken - then.get(operation, 0.0) for operation, taken in now.items()})


def largest_deviation(observation: Observation, healthy: Observation) -> Operation | None:
    """Return the operation whose mean duration is most standard deviations from the healthy run's.

    An operation that has no standard deviation there (absent, seen once, or constant) is never named.
    """
    now, then = durations(observation), durations(healthy)
    spreads = {operation: stdev(taken) for operation, taken in then.items() if len(taken) > 1}
    return _largest(
        {
            operation: abs(fmean(taken) - fmean(then[operation])) / spreads[operation]
            for operation, taken in now.items()
            if spreads.get(operation)
        }
    )


def path_seconds(observation: Observation) -> dict[Operation, float]:
    """Return the seconds that a request, on average, waits for each operation."""
    requests = requests_of(observation.traces)
    spent: dict[Operation, float] = defaultdict(float)
    for segment in chain.from_iterable(request.path for request in requests):
        spent[_operation(segment.node)] += segment.duration_nanoseconds / _NANOSECONDS / len(requests)
    return spent


def durations(observation: Observation) -> dict[Operation, list[float]]:
    """Return the seconds that each span of the requests took, by operation."""
    taken: dict[Operation, list[float]] = defaultdict(list)
    for request in requests_of(observation.traces):
        for node in request.root.walk():
            taken[_operation(node)].append(node.span.duration_nanoseconds / _NANOSECONDS)
    return taken


def _operation(node: Node) -> Operation:
    return node.span.service, node.span.name


def _largest(figures: Mapping[Operation, float]) -> Operation | None:
    """Of two alike the first by name, so that the order of spans says nothing."""
    return max(sorted(figures), key=lambda operation: figures[operation], default=None)
