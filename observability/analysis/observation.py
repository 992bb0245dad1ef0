"""Observation: reads the traces, metrics and samples that were recorded of a system, from a folder.

Times are seconds since the Unix epoch. Every file except the traces is optional:

- `*trace*.json` and `*trace*.jsonl`: one OTLP/JSON export request a line.
- `scrapes.jsonl`: `{"at", "target", "text"}`, one scrape a line; the text is OpenMetrics or Prometheus' text format.
- `sessions.jsonl`: `{"at", "sessions": [...]}`, the database sessions that were not idle, fields as in Session.
- `processes.jsonl`: `{"at", "process", "cpu_seconds", "wait_seconds"}`, one sample of one process a line.
- `statements.jsonl`, `tables.jsonl`: one statement or table a line, fields as in StatementUse and TableUse.
- `caches.jsonl`: one cache a line, fields as in CacheUse.
- `requests.json`: `{"from", "until", "scheduled_rate_per_second", "latencies_seconds"}`, measured by the clients.
  Optional fields: the clients' objective, `"objective": {"seconds": 0.5, "share": 0.99}`; the time after which an
  answer is useless, `"deadline_seconds": 2.0`; and whether each request got the expected answer at all,
  `"answered": [true, false, ...]`, one for each latency.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson

from observability.analysis.metrics_page import parse_page
from observability.analysis.openmetrics import Scrape
from observability.analysis.otlp import read_spans
from observability.analysis.trees import Trace, build_traces

Json = dict[str, Any]
T = TypeVar("T")


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
    malformed_lines: lines that were skipped.
    duplicate_spans: spans that were dropped.
    later_traces: those that began after the last request was due and have links, as asynchronous work has.
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


def read_observation(folder: Path) -> Observation:
    """Read a folder; a truncated or malformed line is skipped and counted. Raises ObservationUnreadable."""
    traces = sorted(path for path in folder.glob("*trace*.json*") if path.suffix in {".json", ".jsonl"})
    if not traces:
        raise ObservationUnreadable(f"no traces in {folder}: name a folder with OTLP/JSON lines in traces.jsonl.")
    try:
        return _read(folder, traces)
    except OSError as error:
        raise ObservationUnreadable(f"cannot read {error.filename} ({error.strerror}): make it readable.") from error


def _read(folder: Path, paths: Iterable[Path]) -> Observation:
    spans, lines = read_spans(paths), _Lines(folder)
    requests = _requests(folder / "requests.json")
    traces = build_traces(spans.spans).traces
    linking = {span.trace_id for span in spans.spans if span.links}
    return Observation(
        traces=tuple(trace for trace in traces if _counts(trace, requests)),
        scrapes=lines.read("scrapes.jsonl", lambda row: TimedScrape(row["at"], row["target"], parse_page(row["text"]))),
        sessions=lines.read("sessions.jsonl", _session_sample),
        statements=lines.read("statements.jsonl", lambda row: StatementUse(**row)),
        tables=lines.read("tables.jsonl", lambda row: TableUse(**row)),
        caches=lines.read("caches.jsonl", lambda row: CacheUse(**row)),
        processes=lines.read("processes.jsonl", lambda row: ProcessSample(at_seconds=row.pop("at"), **row)),
        requests=requests,
        malformed_lines=spans.malformed_lines + lines.malformed,
        duplicate_spans=spans.duplicate_spans,
        later_traces=tuple(trace for trace in traces if trace.trace_id in linking and _is_later(trace, requests)),
    )


class _Lines:
    """Reader of a folder's JSON lines files, which counts malformed lines."""

    def __init__(self, folder: Path) -> None:
        self.malformed = 0
        self._folder = folder

    def read(self, name: str, make: Callable[[Json], T]) -> tuple[T, ...]:
        """Return the parsed lines of a file, none when it is missing; raises OSError."""
        path = self._folder / name
        made = []
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                made.append(make(orjson.loads(line)))
            except (AttributeError, KeyError, TypeError, ValueError):
                self.malformed += 1
        return tuple(made)


def _session_sample(line: Json) -> SessionSample:
    sessions = (Session(**{**each, "blocked_by": tuple(each["blocked_by"])}) for each in line["sessions"])
    return SessionSample(line["at"], tuple(sessions))


def _requests(path: Path) -> Requests | None:
    if not path.exists():
        return None
    try:
        document = orjson.loads(path.read_bytes())
        bounds = float(document["from"]), float(document["until"])
        latencies = tuple(document["latencies_seconds"])
        rate, deadline = document["scheduled_rate_per_second"], document.get("deadline_seconds")
        return Requests(*bounds, rate, latencies, _objective(document), _answered(document), deadline)
    except (KeyError, TypeError, ValueError) as error:
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
