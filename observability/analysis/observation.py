"""Observation: reads the traces, metrics and samples that were recorded of a system, from a folder.

Times are seconds since the Unix epoch. Every file except the traces is optional:

- any other name: traces in one of the formats that docs/diagnose.md lists.
- `scrapes.jsonl`: `{"at", "target", "text"}`, one scrape a line; the text is OpenMetrics or Prometheus' text format.
- `sessions.jsonl`: `{"at", "sessions": [...]}`, the database sessions that were not idle, fields as in Session.
- `processes.jsonl`: `{"at", "process", "cpu_seconds", "wait_seconds"}`, one sample of one process a line.
- `statements.jsonl`, `tables.jsonl`: one statement or table a line, fields as in StatementUse and TableUse.
- `caches.jsonl`: one cache a line, fields as in CacheUse.
- `requests.json`: `{"from", "until", "scheduled_rate_per_second", "latencies_seconds"}`, measured by the clients.
  Optional fields: the clients' objective, `"objective": {"seconds": 0.5, "share": 0.99}`; the time after which an
  answer is useless, `"deadline_seconds": 2.0`; and whether each request got the expected answer at all,
  `"answered": [true, false, ...]`, one for each latency.
- `coverage.json`: how much of a time window was read from a live store, fields as in Coverage.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_origin

import orjson

from observability.analysis.coverage import Coverage
from observability.analysis.metrics_page import parse_page
from observability.analysis.openmetrics import Scrape
from observability.analysis.readers.fields import MALFORMED
from observability.analysis.readers.garbage import without_garbage_collection
from observability.analysis.readers.trace_files import read_spans
from observability.analysis.readers.unread import CUT_OFF, MALFORMED_LINE, Unread, UnreadCounter
from observability.analysis.trees import Trace, build_traces

Json = dict[str, Any]
T = TypeVar("T")

COVERAGE = "coverage.json"
SCRAPES = "scrapes.jsonl"
# The files of a folder that hold no traces.
_OTHERS = frozenset(
    {
        COVERAGE,
        SCRAPES,
        "sessions.jsonl",
        "processes.jsonl",
        "statements.jsonl",
        "tables.jsonl",
        "caches.jsonl",
        "requests.json",
    }
)
_MOST_REASONS = 5


class ObservationUnreadable(Exception):
    """The folder holds no readable observation; the message says what to do."""


@dataclass(frozen=True, slots=True)
class TimedScrape:
    """One scrape of one target, and when it was received."""

    at_seconds: float
    target: str
    scrape: Scrape


@dataclass(frozen=True, slots=True)
class Session:
    """A database session at one moment.

    wait_event_type, wait_event: what the session waits for; None while it runs.
    query: may be truncated; parameters appear as $1.
    blocked_by: pids of the sessions that hold the lock it waits for.
    transaction_seconds: age of its transaction.
    """

    pid: int
    database: str
    state: str
    wait_event_type: str | None
    wait_event: str | None
    query: str
    blocked_by: tuple[int, ...]
    transaction_seconds: float


@dataclass(frozen=True, slots=True)
class SessionSample:
    """The sessions that were not idle at one moment, possibly none."""

    at_seconds: float
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class StatementUse:
    """Usage of a statement during the observation.

    total_seconds: time within the server.
    blocks_hit: blocks found in the server's buffers.
    blocks_read: blocks read from the operating system.
    """

    database: str
    query: str
    calls: int
    total_seconds: float
    rows: int
    blocks_hit: int
    blocks_read: int


@dataclass(frozen=True, slots=True)
class TableUse:
    """Reads of a table during the observation.

    live_rows: estimated number of rows at the end.
    A session reports its reads up to a second late, and up to ten seconds late when it becomes idle.
    """

    database: str
    table: str
    sequential_scans: int
    sequential_rows_read: int
    index_scans: int
    index_rows_fetched: int
    live_rows: int


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Usage of a cache during the observation, in keys: hits and misses of lookups, and keys expired and evicted."""

    cache: str
    hits: int
    misses: int
    expired: int
    evicted: int


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """Counters of a process at one moment.

    cpu_seconds: processor time used so far.
    wait_seconds: time so far in which the process was runnable but had no processor; None where the kernel does not
        report it.
    """

    at_seconds: float
    process: str
    cpu_seconds: float
    wait_seconds: float | None


@dataclass(frozen=True, slots=True)
class ObservedObjective:
    """The clients' objective: this share (0 to 1) of the requests takes at most `seconds`."""

    seconds: float
    share: float

    def share_within(self, latencies_seconds: Sequence[float]) -> float:
        """Return the share of the requests that took at most `seconds`; raises ZeroDivisionError for none."""
        return sum(each <= self.seconds for each in latencies_seconds) / len(latencies_seconds)


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests as the clients measured them.

    from_seconds, until_seconds: when requests were due, since the Unix epoch.
    scheduled_rate_per_second: planned arrival rate.
    latencies_seconds: of each request.
    objective: the clients' objective, if known.
    answered: whether each request got the expected answer, however late; empty when unknown.
    deadline_seconds: after this time an answer is useless, if known.
    """

    from_seconds: float
    until_seconds: float
    scheduled_rate_per_second: float
    latencies_seconds: tuple[float, ...]
    objective: ObservedObjective | None = None
    answered: tuple[bool, ...] = ()
    deadline_seconds: float | None = None

    @property
    def seconds(self) -> float:
        """The time in which requests were due."""
        return self.until_seconds - self.from_seconds

    @property
    def offered_per_second(self) -> float:
        """The rate at which requests were due."""
        return len(self.latencies_seconds) / self.seconds

    @property
    def useful_per_second(self) -> float:
        """The rate of requests that got a useful answer."""
        return sum(self.useful()) / self.seconds

    @property
    def patience_seconds(self) -> float | None:
        """The time after which an answer is useless: the deadline, or else the objective's limit."""
        return self.deadline_seconds or (self.objective.seconds if self.objective else None)

    def useful_summary(self) -> str:
        """Return a sentence about the rate of useful answers."""
        return (
            f"{self.useful_per_second:.1f} of {self.offered_per_second:.1f} requests a second got a useful answer "
            f"within {self.patience_seconds:g} s"
        )

    def useful(self) -> tuple[bool, ...]:
        """Return for each request whether its answer was useful: the expected one, and in time."""
        limit = self.patience_seconds or math.inf
        answered = self.answered or (True,) * len(self.latencies_seconds)
        return tuple(
            right and latency <= limit for right, latency in zip(answered, self.latencies_seconds, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that was recorded of a system.

    traces: those that began while requests were due, if that is known, else all.
    requests: None when the clients' view was not recorded.
    malformed_lines: lines, documents and spans that were skipped.
    duplicate_spans: spans that were dropped.
    later_traces: those that began after the last request was due and have links, as asynchronous work has.
    unread: what was skipped, by file and reason.
    coverage: how much was read from a live store; None when the traces come from elsewhere.
    """

    traces: tuple[Trace, ...]
    scrapes: tuple[TimedScrape, ...]
    sessions: tuple[SessionSample, ...]
    statements: tuple[StatementUse, ...]
    tables: tuple[TableUse, ...]
    processes: tuple[ProcessSample, ...]
    requests: Requests | None
    malformed_lines: int
    duplicate_spans: int
    later_traces: tuple[Trace, ...] = ()
    caches: tuple[CacheUse, ...] = ()
    unread: tuple[Unread, ...] = ()
    coverage: Coverage | None = None

    def during_requests(self) -> "Observation":
        """Return the samples taken while requests were due: before and after that the system is idle."""
        if self.requests is None:
            return self
        start, end = self.requests.from_seconds, self.requests.until_seconds
        return replace(
            self,
            scrapes=tuple(each for each in self.scrapes if start <= each.at_seconds <= end),
            sessions=tuple(each for each in self.sessions if start <= each.at_seconds <= end),
            processes=tuple(each for each in self.processes if start <= each.at_seconds <= end),
        )


def read_observation(path: Path) -> Observation:
    """Read a folder, or one file of traces. What is malformed is skipped and counted. Raises ObservationUnreadable."""
    try:
        with without_garbage_collection():
            return _read(path)
    except OSError as error:
        raise ObservationUnreadable(f"cannot read {error.filename} ({error.strerror}): make it readable.") from error


def _read(path: Path) -> Observation:
    unread = UnreadCounter()
    spans, lines = read_spans(trace_files_of(path)), _Lines(path, unread)
    if not spans.spans:
        raise ObservationUnreadable(_nothing_read(path, spans.unread))
    requests = _requests(path / "requests.json")
    traces = build_traces(spans.spans).traces
    linking = {span.trace_id for span in spans.spans if span.links}
    seen = Observation(
        traces=tuple(trace for trace in traces if _counts(trace, requests)),
        scrapes=lines.read(SCRAPES, _timed_scrape),
        sessions=lines.read("sessions.jsonl", _session_sample),
        statements=lines.read("statements.jsonl", lambda row: _checked(StatementUse(**row))),
        tables=lines.read("tables.jsonl", lambda row: _checked(TableUse(**row))),
        caches=lines.read("caches.jsonl", lambda row: _checked(CacheUse(**row))),
        processes=lines.read("processes.jsonl", _process_sample),
        requests=requests,
        malformed_lines=0,
        duplicate_spans=spans.duplicate_spans,
        later_traces=tuple(trace for trace in traces if trace.trace_id in linking and _is_later(trace, requests)),
        coverage=_coverage(path / COVERAGE),
    )
    skipped = (*spans.unread, *unread.found)
    return replace(seen, unread=skipped, malformed_lines=sum(each.count for each in skipped))


def trace_files_of(path: Path) -> list[Path]:
    """Return the files that may hold traces: all but those of other names, and hidden ones. Raises OSError."""
    if not path.is_dir():
        return [path]
    return sorted(
        each for each in path.iterdir() if each.is_file() and each.name not in _OTHERS and each.name[0] not in "._"
    )


def _nothing_read(path: Path, unread: Sequence[Unread]) -> str:
    reasons = [each.sentence() for each in unread[:_MOST_REASONS]]
    more = [f"and {len(unread) - _MOST_REASONS} more"] if len(unread) > _MOST_REASONS else []
    said = f" ({'; '.join((*reasons, *more))})" if reasons else ""
    return f"no traces in {path}{said}: name a folder or file with traces of OTLP, Jaeger, Zipkin or Tempo."


class _Lines:
    """Reader of a folder's JSON lines files, which counts malformed lines."""

    def __init__(self, folder: Path, unread: UnreadCounter) -> None:
        self._unread = unread
        self._folder = folder

    def read(self, name: str, make: Callable[[Json], T]) -> tuple[T, ...]:
        """Return the parsed lines of a file, none when it is missing; raises OSError."""
        path = self._folder / name
        if not path.exists():
            return ()
        self._unread.file = name
        with path.open("rb") as lines:
            return tuple(made for line in lines for made in self._made(line, make))

    def _made(self, line: bytes, make: Callable[[Json], T]) -> Iterable[T]:
        try:
            row = orjson.loads(line)
        except ValueError:
            self._unread.add(CUT_OFF)
            return ()
        try:
            return (make(row),)
        except MALFORMED:
            self._unread.add(MALFORMED_LINE)
            return ()


def _checked(made: T) -> T:
    """Return a dataclass whose fields have the types that its class says, but for tuples; raises TypeError."""
    for field in fields(made):  # type: ignore[arg-type]  # T is a dataclass
        value, kind = getattr(made, field.name), field.type
        if get_origin(kind) is tuple:
            continue
        allowed: Any = kind | int if kind in {float, float | None} else kind
        if not isinstance(value, allowed):
            raise TypeError(f"{field.name} is {value!r}")
    return made


def _timed_scrape(row: Json) -> TimedScrape:
    return TimedScrape(float(row["at"]), str(row["target"]), parse_page(row["text"]))


def _process_sample(row: Json) -> ProcessSample:
    return _checked(ProcessSample(at_seconds=float(row.pop("at")), **row))


def _session_sample(line: Json) -> SessionSample:
    sessions = (
        _checked(Session(**{**each, "blocked_by": tuple(map(int, each["blocked_by"]))})) for each in line["sessions"]
    )
    return SessionSample(float(line["at"]), tuple(sessions))


def _coverage(path: Path) -> Coverage | None:
    if not path.exists():
        return None
    try:
        return _checked(Coverage(**orjson.loads(path.read_bytes())))
    except MALFORMED as error:
        raise ObservationUnreadable(f"{path} is malformed ({error}): correct it, or remove it.") from error


def _requests(path: Path) -> Requests | None:
    if not path.exists():
        return None
    try:
        document = orjson.loads(path.read_bytes())
        bounds = float(document["from"]), float(document["until"])
        latencies = tuple(map(float, document["latencies_seconds"]))
        rate, deadline = document["scheduled_rate_per_second"], document.get("deadline_seconds")
        return _checked(Requests(*bounds, rate, latencies, _objective(document), _answered(document), deadline))
    except MALFORMED as error:
        raise ObservationUnreadable(f"{path} is malformed ({error}): correct it, or remove it.") from error


def _answered(document: Json) -> tuple[bool, ...]:
    answered = tuple(map(bool, document.get("answered", ())))
    if answered and len(answered) != len(document["latencies_seconds"]):
        raise ValueError("'answered' must have one entry for each latency, or none at all")
    return answered


def _objective(document: Json) -> ObservedObjective | None:
    promised = document.get("objective")
    if not promised:
        return None
    seconds, share = float(promised["seconds"]), float(promised["share"])
    if not (seconds > 0 and 0 < share <= 1):
        raise ValueError("'objective' needs seconds above 0 and a share above 0 and at most 1")
    return ObservedObjective(seconds, share)


def _counts(trace: Trace, requests: Requests | None) -> bool:
    return requests is None or requests.from_seconds <= _began_seconds(trace) <= requests.until_seconds


def _is_later(trace: Trace, requests: Requests | None) -> bool:
    return requests is not None and _began_seconds(trace) > requests.until_seconds


def _began_seconds(trace: Trace) -> float:
    """Return when the root began or, without a root, the first orphan."""
    return (trace.roots or trace.orphans)[0].span.start_nanoseconds / 1e9
