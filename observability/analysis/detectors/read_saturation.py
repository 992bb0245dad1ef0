"""Detector of read saturation: reads fill the processor of a database server, and replicas would share them.

The server's process or container, named after its system as `postgres` and `mysqld` are, must use up its processor, and
its sessions must run rather than wait. What makes the reads many or expensive, such as a missing index, is a class of
its own and named instead: replicas would be as slow.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import database_system, is_database_call, summary_of
from observability.analysis.conventions.operations import operation_of
from observability.analysis.detectors.candidate import UNHINDERED, Candidate
from observability.analysis.detectors.process_stalls import is_own
from observability.analysis.detectors.service_processors import on_full_processors, window
from observability.analysis.observation import Observation
from observability.analysis.processor_use import BUSY, ONE_THREAD_LIMIT, ProcessorUse, Scope
from observability.analysis.processors import processors, within
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest, total_seconds
from observability.analysis.resources import database_seconds
from observability.analysis.spans import Span
from observability.analysis.whatif import MOST_UTILISATION, Saving, relative_wait

# Statements that change nothing, by their first word; SELECT ... FOR UPDATE locks, and so cannot run on a replica.
_READS = frozenset({"SELECT", "WITH", "FIND", "AGGREGATE", "COUNT", "QUERY"})
_LOCKS = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE)\b|\bFOR\s+KEY\s+SHARE\b", re.IGNORECASE)
_CHANGES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)
# A program is named after its system: postgres, mysqld, mongod.
_STEM_LETTERS = 5
_NANOSECONDS = 1e9
_MOSTLY = 0.5
# Waits of a session that does not run. One that waits for its parallel workers (IPC) does: they run.
_WAITS = frozenset({"Lock", "LWLock", "BufferPin", "IO"})
# A single replica would take over all reads, and be as full.
_REPLICAS = 2

# A service, and the name of a span or a statement of it.
_Place = tuple[str, str]


@dataclass(slots=True)
class _Calls:
    """What requests wait for at one database system, in seconds.

    all_seconds: for all of its calls.
    reads: for each read, by service and statement, and by request.
    makers: spans that make these reads, by service and name.
    """

    all_seconds: float = 0.0
    reads: dict[_Place, dict[int, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    makers: set[_Place] = field(default_factory=set)

    @property
    def read_seconds(self) -> float:
        """The time for all reads."""
        return sum(sum(each.values()) for each in self.reads.values())


def find_read_saturation(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each database system whose reads fill a processor; the fix shares them among replicas."""
    if not requests or _mostly_waits(observation):
        return []
    candidates = []
    for system, calls in _by_system(requests).items():
        server = _server_of(system, observation, requests)
        if server is not None and _is_full(server) and calls.read_seconds >= _MOSTLY * calls.all_seconds:
            candidates.append(_candidate(calls, server, observation, requests))
    return candidates


def is_read(statement: str) -> bool:
    """Return whether a statement, or its summary, only reads and takes no lock."""
    verb = statement.split(" ", 1)[0].upper()
    return verb in _READS and not _LOCKS.search(statement) and not _CHANGES.search(statement)


def _mostly_waits(observation: Observation) -> bool:
    """Return whether sessions of the database mostly wait, and do not run."""
    active = database_seconds(observation)
    waiting = sum(each.value for kind, each in active.items() if kind in _WAITS)
    return waiting > _MOSTLY * sum(each.value for each in active.values())


def _by_system(requests: Sequence[Request]) -> Mapping[str, _Calls]:
    """Return the calls on the requests' paths, by database system."""
    found: dict[str, _Calls] = defaultdict(_Calls)
    for number, request in enumerate(requests):
        for segment in request.path:
            span = segment.node.span
            if is_database_call(span):
                calls, seconds = found[database_system(span)], segment.duration_nanoseconds / _NANOSECONDS
                calls.all_seconds += seconds
                if is_read(summary_of(span)):
                    calls.reads[span.service, summary_of(span)][number] += seconds
        for node in request.nodes:
            for child in node.children:
                if is_database_call(child.span) and is_read(summary_of(child.span)):
                    found[database_system(child.span)].makers.add(_place(node.span))
    return {system: calls for system, calls in found.items() if calls.reads}


def _place(span: Span) -> _Place:
    return span.service, operation_of(span)


def _server_of(system: str, observation: Observation, requests: Sequence[Request]) -> ProcessorUse | None:
    """Return the fullest process or container that is named after a database system; None without one."""
    stem = system[:_STEM_LETTERS]
    named = [
        each
        for each in processors(within(observation, *window(requests)))
        if each.scope is not Scope.MACHINE
        and any(
            word.startswith(stem)
            for value in (each.owner, *(value for _, value in each.labels))
            for word in re.findall(r"[a-z0-9]+", value.lower())
        )
    ]
    return max(named, key=lambda each: each.fullness or 0.0, default=None) if stem else None


def _is_full(server: ProcessorUse) -> bool:
    """Return whether the server uses up a processor; it has a process for each session, and so may use several."""
    is_full = server.waiting_share >= BUSY if server.limited_by == ONE_THREAD_LIMIT else server.is_full
    return is_full and server.used >= server.others


def _candidate(calls: _Calls, server: ProcessorUse, observation: Observation, requests: Sequence[Request]) -> Candidate:
    service, statement = max(calls.reads, key=lambda place: sum(calls.reads[place].values()))
    waited = _beyond_usual(calls.reads.values(), len(requests))
    turns = _waits_for_turn(calls, observation, requests)
    part = calls.read_seconds / calls.all_seconds
    busy = min(server.waiting_share if server.share is None else server.share, MOST_UTILISATION)
    after = busy * part / _REPLICAS
    saved = 1 - relative_wait(after) / relative_wait(busy)
    wait = tuple(saved * (each + turn) for each, turn in zip(waited, turns, strict=True))
    share = (sum(waited) + sum(turns)) / total_seconds(requests)
    return Candidate(
        bottleneck=Bottleneck.READ_SATURATION,
        service=service,
        operation=statement,
        saving=Saving(work=(0.0,) * len(requests), wait=wait),
        evidence=(
            server.sentence(),
            f"reads are {part:.0%} of the time that requests wait for this database",
            f"they wait for each other, in {share:.0%} of the requests' time",
            f"with {_REPLICAS} replicas like this server, each would be {after:.0%} busy with reads",
        ),
        trace_ids=longest(requests),
        predictor=f"queueing: {_REPLICAS} replicas like this server share the reads",
        utilisation=busy,
        measured=True,
    )


def _beyond_usual(reads: Iterable[Mapping[int, float]], requests: int) -> list[float]:
    """Return for each request the time that its reads take beyond the fastest tenth of their statement."""
    waited = [0.0] * requests
    for by_request in reads:
        usual = quantile(sorted(by_request.values()), UNHINDERED)
        for number, seconds in by_request.items():
            waited[number] += max(0.0, seconds - usual)
    return waited


def _waits_for_turn(calls: _Calls, observation: Observation, requests: Sequence[Request]) -> list[float]:
    """Return for each request the time that it waited for its turn to read, in spans that make the reads.

    Their code limits concurrent reads, or lets one read for several. On a full processor it may as well be work.
    """
    full = on_full_processors(observation, requests)
    spent: dict[_Place, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for number, request in enumerate(requests):
        for segment in filter(is_own, request.path):
            place = _place(segment.node.span)
            if place in calls.makers and place[0] not in full:
                spent[place][number] += segment.duration_nanoseconds / _NANOSECONDS
    return _beyond_usual(spent.values(), len(requests))
