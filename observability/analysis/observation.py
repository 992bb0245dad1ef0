"""What was seen of a system over some seconds?

An observation is a folder. Times are seconds since the Unix epoch; all but the traces may be missing:

- `*trace*.json` and `*trace*.jsonl`: one OTLP/JSON export request a line.
- `scrapes.jsonl`: `{"at", "target", "text"}`, one scrape a line; the text is OpenMetrics, or Prometheus' own.
- `sessions.jsonl`: `{"at", "sessions": [...]}`, the database sessions at work at one moment, fields as in Session.
- `processes.jsonl`: `{"at", "process", "cpu_seconds", "wait_seconds"}`, one reading of one process a line.
- `statements.jsonl`, `tables.jsonl`: one statement or table a line, fields as in StatementUse and TableUse.
- `caches.jsonl`: one cache a line, fields as in CacheUse.
- `requests.json`: `{"from", "until", "scheduled_rate_per_second", "latencies_seconds"}`, what the clients saw.
  What they were promised may stand there too: `"objective": {"seconds": 0.5, "share": 0.99}`; from when on an answer is
  of no use to them, `"deadline_seconds": 2.0`; and which requests had, at last, the answer that was asked for,
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
    """The folder holds no observation; the message says in a sentence what to do."""


@dataclass(frozen=True, slots=True)
class TimedScrape:
    """One scrape of one target, and when it was answered."""

    at_seconds: float
    target: str
    scrape: Scrape


@dataclass(frozen=True, slots=True)
class Session:
    """A database session at one moment; its query may be cut short, and parameters stand in it as $1.

    What it waits for is None while it runs, `blocked_by` are the pids that hold it, and `transaction_seconds` is the
    age of its transaction.
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
    """The sessions that were not idle at one moment, often none."""

    at_seconds: float
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class StatementUse:
    """What a statement that clients sent cost meanwhile: seconds within the server, rows, blocks found and read."""

    database: str
    query: str
    calls: int
    total_seconds: float
    rows: int
    blocks_hit: int
    blocks_read: int


@dataclass(frozen=True, slots=True)
class TableUse:
    """How a table was read meanwhile, and about how many rows it had at the end.

    A session tells the server what it read up to a second late, and up to ten when it falls idle.
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
    """What was asked of a cache meanwhile, in keys: found, not found, come to their end, and dropped to make room."""

    cache: str
    hits: int
    misses: int
    expired: int
    evicted: int


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """What a process had used by one moment, since one before the observation.

    `wait_seconds` is how long it could run and had no processor; None where the kernel does not say.
    """

    at_seconds: float
    process: str
    cpu_seconds: float
    wait_seconds: float | None


@dataclass(frozen=True, slots=True)
class ObservedObjective:
    """What clients were promised: that this share (0 to 1) of the requests takes no longer than so many seconds."""

    seconds: float
    share: float

    def share_within(self, latencies_seconds: Sequence[float]) -> float:
        """Give the share of the requests that took no longer than that; raises ZeroDivisionError for none."""
        return sum(each <= self.seconds for each in latencies_seconds) / len(latencies_seconds)


@dataclass(frozen=True, slots=True)
class Requests:
    """What the clients saw: between when requests were due, how many a second, and how long each took.

    `objective` is what they were promised, None where nobody said. `answered` tells of each whether it was answered as
    it should be, whenever that was, and is empty where that is unknown; after `deadline_seconds` no answer is of use.
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
        """For how long requests were due."""
        return self.until_seconds - self.from_seconds

    @property
    def offered_per_second(self) -> float:
        """How many requests became due a second."""
        return len(self.latencies_seconds) / self.seconds

    @property
    def useful_per_second(self) -> float:
        """How many requests a second had an answer that was of use."""
        return sum(self.useful()) / self.seconds

    @property
    def patience_seconds(self) -> float | None:
        """From when on an answer is of no use: the deadline or, where nobody named one, what was promised."""
        return self.deadline_seconds or (self.objective.seconds if self.objective else None)

    def useful_in_words(self) -> str:
        """Say how many requests a second had an answer that was of use."""
        return (
            f"{self.useful_per_second:.1f} of {self.offered_per_second:.1f} requests a second had an answer "
            f"that was of use, within {self.patience_seconds:g} s"
        )

    def useful(self) -> tuple[bool, ...]:
        """Tell of each request whether its answer was of use: one that was asked for, and in time."""
        limit = self.patience_seconds or math.inf
        answered = self.answered or (True,) * len(self.latencies_seconds)
        return tuple(
            right and latency <= limit for right, latency in zip(answered, self.latencies_seconds, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """All that was seen; of the traces, those that began while requests were due, where that is known.

    `later_traces` began after that and link to others, as the work does that a request left to be done.
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
        """Return what was seen of the system while requests were due: before and after that it is idle."""
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
    """Read a folder; raises ObservationUnreadable. A line that is cut off or something else is counted, not fatal."""
    traces = sorted(path for path in folder.glob("*trace*.json*") if path.suffix in {".json", ".jsonl"})
    if not traces:
        raise ObservationUnreadable(f"no traces are in {folder}: name a folder with OTLP/JSON lines in traces.jsonl.")
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
    """The files of a folder with one JSON document a line, and how many lines of them were not."""

    def __init__(self, folder: Path) -> None:
        self.malformed = 0
        self._folder = folder

    def read(self, name: str, make: Callable[[Json], T]) -> tuple[T, ...]:
        """Make something of each line of a file that may not be there; raises OSError."""
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
        raise ObservationUnreadable(f"{path} is not whole: write it again, or remove it to do without.") from error


def _answered(document: Json) -> tuple[bool, ...]:
    answered = tuple(map(bool, document.get("answered", ())))
    if answered and len(answered) != len(document["latencies_seconds"]):
        raise ValueError("of each request it is said whether it was answered, or of none")
    return answered


def _objective(document: Json) -> ObservedObjective | None:
    promised = document.get("objective")
    if not promised:
        return None
    seconds, share = float(promised["seconds"]), float(promised["share"])
    if not (seconds > 0 and 0 < share <= 1):
        raise ValueError("an objective is a share, 0 to 1, within some seconds")
    return ObservedObjective(seconds, share)


def _counts(trace: Trace, requests: Requests | None) -> bool:
    return requests is None or requests.from_seconds <= _began_seconds(trace) <= requests.until_seconds


def _is_later(trace: Trace, requests: Requests | None) -> bool:
    return requests is not None and _began_seconds(trace) > requests.until_seconds


def _began_seconds(trace: Trace) -> float:
    """A trace begins with its root or, when that is missing, with the first span there is."""
    return (trace.roots or trace.orphans)[0].span.start_nanoseconds / 1e9
