"""Selection: the requests to one service or operation, each as a trace of its own."""

from collections.abc import Iterator
from dataclasses import replace

from observability.analysis.conventions.operations import operation_of
from observability.analysis.observation import Observation
from observability.analysis.observation_folder import ObservationUnreadable
from observability.analysis.trees import Node, Trace

_MOST_NAMES = 30


def select(observation: Observation, *, service: str, operation: str = "") -> Observation:
    """Return the observation of the requests to a service, or to one of its operations.

    A request is a span of the service whose parent is not of the service, with everything below it. What clients
    measured counts only if these spans are the roots of their traces. Raises ObservationUnreadable when there is none,
    with the names that exist.
    """
    chosen = [
        (trace, entry)
        for trace in observation.traces
        for entry in _entries(trace, service)
        if operation in {"", entry.span.name, operation_of(entry.span)}
    ]
    if not chosen:
        raise ObservationUnreadable(_missing(observation, service, operation))
    seen = observation
    if any(entry not in trace.roots for trace, entry in chosen):
        seen = replace(observation.during_requests(), requests=None)
    return replace(seen, traces=tuple(_alone(trace, entry) for trace, entry in chosen))


def services_of(observation: Observation) -> tuple[str, ...]:
    """Return the names of all services, sorted."""
    nodes = (node for trace in observation.traces for top in (*trace.roots, *trace.orphans) for node in top.walk())
    return tuple(sorted({node.span.service for node in nodes}))


def _entries(trace: Trace, service: str) -> Iterator[Node]:
    """Yield the spans through which a trace enters a service, outermost first."""
    stack = [*trace.roots, *trace.orphans]
    while stack:
        node = stack.pop()
        if node.span.service == service:
            yield node
        else:
            stack.extend(node.children)


def _alone(trace: Trace, entry: Node) -> Trace:
    """Return the trace of one entry; an orphan elsewhere in the trace may belong to it, so it stays broken."""
    if trace.roots == (entry,):
        return trace
    orphans = tuple(orphan for orphan in trace.orphans if all(node is not entry for node in orphan.walk()))
    return Trace(trace.trace_id, roots=(entry,), orphans=orphans, spans=sum(1 for _ in entry.walk()))


def _missing(observation: Observation, service: str, operation: str) -> str:
    services = services_of(observation)
    if service not in services:
        return f"no service {service!r}; there are {_names(services)}: choose one with --service."
    names = {operation_of(entry.span) for trace in observation.traces for entry in _entries(trace, service)}
    return f"no operation {operation!r} of {service}; there are {_names(sorted(names))}: choose one with --operation."


def _names(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
