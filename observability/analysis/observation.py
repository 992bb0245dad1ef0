"""Observation: the traces, metrics and samples that were recorded of a system.

Times are seconds since the Unix epoch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from observability.analysis.coverage import Coverage
from observability.analysis.openmetrics import Scrape
from observability.analysis.readers.unread import Unread
from observability.analysis.trees import Trace


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
