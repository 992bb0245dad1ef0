"""Observation folder: reads the traces, metrics and samples that were recorded of a system.

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

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_origin

import orjson

from observability.analysis.coverage import Coverage
from observability.analysis.metrics_page import parse_page
from observability.analysis.observation import (
    CacheUse,
    Observation,
    ObservedObjective,
    ProcessSample,
    Requests,
    Session,
    SessionSample,
    StatementUse,
    TableUse,
    TimedScrape,
)
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
