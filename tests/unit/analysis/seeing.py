"""Builders of observations for tests: request traces, metrics, and samples of processes and database sessions."""

from collections.abc import Sequence
from dataclasses import replace

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.detectors.registry import Detector
from observability.analysis.observation import (
    Observation,
    ProcessSample,
    Requests,
    Session,
    SessionSample,
    TableUse,
    TimedScrape,
)
from observability.analysis.openmetrics import Labels, Scrape
from observability.analysis.requests import Request, requests_of
from observability.analysis.spans import Attribute, SpanKind
from observability.analysis.trees import Node, Trace
from tests.unit.analysis.making import MILLISECOND, node


def step(
    name: str,
    start: float,
    end: float,
    *children: Node,
    kind: SpanKind = SpanKind.INTERNAL,
    service: str = "shop",
    attributes: dict[str, Attribute] | None = None,
) -> Node:
    """Return a span with others below it; its id is its name and its start, times in milliseconds."""
    made = node(name, round(start * MILLISECOND), round(end * MILLISECOND), kind=kind, service=service)
    span = replace(made.span, span_id=f"{name} of {service} at {start}", attributes=attributes or {})
    return Node(span, tuple(Node(replace(each.span, parent_span_id=span.span_id), each.children) for each in children))


def call(name: str, start: float, end: float, *children: Node, service: str = "shop") -> Node:
    """Return a call that leaves the process, of no database."""
    return step(name, start, end, *children, kind=SpanKind.CLIENT, service=service)


def serve(name: str, start: float, end: float, *children: Node, service: str = "shop") -> Node:
    """Return a call as its server saw it."""
    return step(name, start, end, *children, kind=SpanKind.SERVER, service=service)


def query(
    name: str, start: float, end: float, *, service: str = "shop", database: str = "main", waited: float | None = None
) -> Node:
    """Return a statement; `waited` is how long, in milliseconds, it waited for its connection before."""
    attributes: dict[str, Attribute] = {"db.system.name": "postgresql", "db.namespace": database}
    if waited is not None:
        attributes["db.client.connection.wait_time"] = waited / 1e3
    return step(name, start, end, kind=SpanKind.CLIENT, service=service, attributes=attributes)


def queries(name: str, count: int, *, start: float = 0, each: float = 1, service: str = "shop") -> list[Node]:
    """Statements of one name, back to back."""
    return [query(name, start + at * each, start + (at + 1) * each, service=service) for at in range(count)]


def request(end: float, *children: Node) -> Node:
    """Return the root of a request that began at 0."""
    return serve("POST /things", 0, end, *children)


def later(root: Node, milliseconds: float) -> Node:
    """Return a span and those below it, begun later."""
    moved = round(milliseconds * MILLISECOND)
    span = replace(
        root.span,
        start_nanoseconds=root.span.start_nanoseconds + moved,
        end_nanoseconds=root.span.end_nanoseconds + moved,
    )
    return Node(span, tuple(later(child, milliseconds) for child in root.children))


def each_later(root: Node, count: int = 30) -> list[Node]:
    """Return so many alike, each begun 0.3 s after the one before it."""
    return [later(root, number * 300) for number in range(count)]


def trace_of(root: Node, number: int = 0) -> Trace:
    """Return a whole trace, named by its number."""
    trace_id = f"trace {number}"
    return Trace(
        trace_id, (Node(replace(root.span, trace_id=trace_id), root.children),), (), sum(1 for _ in root.walk())
    )


def seen(
    *roots: Node,
    scrapes: Sequence[TimedScrape] = (),
    sessions: Sequence[SessionSample] = (),
    tables: Sequence[TableUse] = (),
    processes: Sequence[ProcessSample] = (),
    clients: Requests | None = None,
) -> Observation:
    """Return an observation with a trace for each root."""
    return Observation(
        traces=tuple(trace_of(root, number) for number, root in enumerate(roots)),
        scrapes=tuple(scrapes),
        sessions=tuple(sessions),
        statements=(),
        tables=tuple(tables),
        processes=tuple(processes),
        requests=clients,
        malformed_lines=0,
        duplicate_spans=0,
    )


def requests_in(observation: Observation) -> tuple[Request, ...]:
    """Return the requests of an observation."""
    return requests_of(observation.traces)


def busy(share: float) -> tuple[ProcessSample, ProcessSample]:
    """Return a process that worked for this share of ten seconds."""
    return ProcessSample(0.0, "shop", 1.0, None), ProcessSample(10.0, "shop", 1.0 + 10 * share, None)


def pool_scrape(
    at_seconds: float,
    *,
    used: float,
    waits: float = 0,
    wait_seconds: float = 0,
    hold_seconds: float = 0,
    target: str = "shop",
    name: str = "main",
) -> TimedScrape:
    """Return the metrics of a process with one pool of two connections."""
    pool: Labels = (("db_client_connection_pool_name", name),)
    samples = {
        "db_client_connection_max": {pool: 2.0},
        "db_client_connection_count": {(*pool, ("state", "used")): used, (*pool, ("state", "idle")): 2 - used},
        "db_client_connection_wait_time_seconds_count": {pool: waits},
        "db_client_connection_wait_time_seconds_sum": {pool: wait_seconds},
        "db_client_connection_use_time_seconds_count": {pool: waits},
        "db_client_connection_use_time_seconds_sum": {pool: hold_seconds},
    }
    return TimedScrape(at_seconds, target, Scrape(samples, ()))


def full_pool() -> tuple[TimedScrape, TimedScrape]:
    """Return a pool whose connections were all in use at each look."""
    return pool_scrape(0, used=2), pool_scrape(10, used=2, waits=100, wait_seconds=1, hold_seconds=1)


def idle_pool() -> tuple[TimedScrape, TimedScrape]:
    """Return a pool in which there was a connection left at each look."""
    return pool_scrape(0, used=1), pool_scrape(10, used=1, waits=100, wait_seconds=1, hold_seconds=1)


def session(wait_event_type: str | None, *, state: str = "active", database: str = "main") -> Session:
    """Return a session that waits for this, or runs."""
    return Session(7, database, state, wait_event_type, None, "UPDATE things", (), 0.1)


def looks(*samples: Sequence[Session], each_seconds: float = 0.1) -> list[SessionSample]:
    """Return samples of the database sessions, one after the other."""
    return [SessionSample(number * each_seconds, tuple(sample)) for number, sample in enumerate(samples)]


def found(find: Detector, observation: Observation) -> list[Candidate]:
    """Return the candidates of one detector."""
    return find(observation, requests_in(observation))


def named(candidate: Candidate) -> tuple[Bottleneck, str, str]:
    """Return class, service and operation of a candidate."""
    return candidate.bottleneck, candidate.service, candidate.operation


def saved_work(find: Detector, observation: Observation) -> tuple[float, ...]:
    """Return the work that the fix of the only one takes from each request."""
    [candidate] = found(find, observation)
    return candidate.saving.work


def saved_wait(find: Detector, observation: Observation) -> tuple[float, ...]:
    """Return the wait that the fix of the only one takes from each request."""
    [candidate] = found(find, observation)
    return candidate.saving.wait
