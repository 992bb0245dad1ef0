"""Processor use of the services on the requests' paths, while the requests ran."""

from collections.abc import Sequence

from observability.analysis.observation import Observation
from observability.analysis.processor_use import ProcessorUse
from observability.analysis.processors import by_service, within
from observability.analysis.requests import Request, services_on_paths

_NANOSECONDS = 1e9


def processor_uses(observation: Observation, requests: Sequence[Request]) -> dict[str, ProcessorUse]:
    """Return the processor use of each service that requests wait for, where it is known."""
    start, end = window(requests)
    return by_service(within(observation, start, end), services_on_paths(requests))


def on_full_processors(observation: Observation, requests: Sequence[Request]) -> frozenset[str]:
    """Return the services whose processor is full.

    Such a service reads the answers of its calls late, so that their spans, which it measures, are too long.
    """
    if not requests or not (observation.scrapes or observation.processes):
        return frozenset()
    return frozenset(service for service, use in processor_uses(observation, requests).items() if use.is_full)


def window(requests: Sequence[Request]) -> tuple[float, float]:
    """Return when the first request began and the last one ended, in seconds since the Unix epoch."""
    start = min(request.root.span.start_nanoseconds for request in requests)
    return start / _NANOSECONDS, max(request.root.span.end_nanoseconds for request in requests) / _NANOSECONDS
