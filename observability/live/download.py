"""Download: writes the traces and metrics of a service in a time window to a folder that `plumb diagnose` reads."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson

from observability.analysis.coverage import Coverage
from observability.analysis.observation_folder import COVERAGE, SCRAPES
from observability.live.http_client import OutOfBudget, ReadOnlyClient, SourceFailed
from observability.live.prometheus import download_metrics
from observability.live.time_slices import SliceAnswer, TimeSlice, WindowRead, read_window

_PROGRESS_SECONDS = 2.0
_MOST_SERVICES = 50


class TraceSource(Protocol):
    """A store of traces.

    kind: its name, for people.
    shortest_seconds: length of the shortest slice that it can be asked for.
    """

    kind: str
    url: str
    shortest_seconds: float

    def services(self) -> list[str]:
        """Return the names of all services. Raises SourceFailed."""

    def fetch(self, part: TimeSlice, service: str, operation: str) -> SliceAnswer:
        """Return the traces with a span of the service in a slice. Raises SourceFailed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to download: the traces with a span of a service, of one operation if it is not empty, in a window."""

    service: str
    operation: str
    window: TimeSlice


def download(
    source: TraceSource,
    wanted: Wanted,
    *,
    client: ReadOnlyClient,
    prometheus: str,
    folder: Path,
    say: Callable[[str], None],
) -> Coverage:
    """Write traces, metrics and the coverage into an empty folder. Raises SourceFailed.

    Metrics come first: they take a small part of the budget, and traces take what is left.
    """
    check_service(source, wanted.service)
    if prometheus:
        _download_metrics(prometheus, wanted, client, folder, say)
    pages, progress = _Pages(folder), _Progress(client, say)
    read = read_window(
        wanted.window,
        fetch=lambda part: source.fetch(part, wanted.service, wanted.operation),
        keep=pages.keep,
        shortest_seconds=source.shortest_seconds,
        progress=lambda done: progress.show(done, len(pages.trace_ids)),
    )
    coverage = Coverage(
        source=f"{source.kind} at {source.url}",
        from_seconds=wanted.window.start,
        until_seconds=wanted.window.end,
        read_seconds=read.read_seconds,
        traces=len(pages.trace_ids),
        missing_traces=len(pages.missing_ids),
        truncated_slices=read.truncated,
        stopped_by=read.stopped_by,
        service=wanted.service,
        operation=wanted.operation,
    )
    (folder / COVERAGE).write_bytes(orjson.dumps(coverage, option=orjson.OPT_INDENT_2))
    if not pages.trace_ids:
        of = f"{wanted.operation!r} of {wanted.service}" if wanted.operation else wanted.service
        why = f" ({read.stopped_by})" if read.stopped_by else ""
        raise SourceFailed(
            f"no traces of {of} from {coverage.source}{why}: choose another operation, or a longer --since"
        )
    return coverage


def check_service(source: TraceSource, service: str) -> None:
    """Check that a service exists. Raises SourceFailed, with the services that do."""
    services = source.services()
    if service not in services:
        known = ", ".join(services[:_MOST_SERVICES]) or "no service"
        more = f" and {len(services) - _MOST_SERVICES} more" if len(services) > _MOST_SERVICES else ""
        what = f"no service {service!r}: " if service else ""
        raise SourceFailed(f"{what}choose one with --service; {source.kind} at {source.url} has {known}{more}")


def _download_metrics(
    url: str, wanted: Wanted, client: ReadOnlyClient, folder: Path, say: Callable[[str], None]
) -> None:
    try:
        series = download_metrics(url, wanted.window, client, folder / SCRAPES)
    except OutOfBudget as error:
        raise SourceFailed(f"{url}: {error} is reached by metrics alone: choose a shorter --since") from error
    say(f"read {series:,} series from Prometheus at {url}" if series else f"Prometheus at {url} has no metric of use")


class _Pages:
    """Writer of answers, a file for each slice."""

    def __init__(self, folder: Path) -> None:
        self.trace_ids: set[str] = set()
        # Slices of whole seconds overlap, so a trace may be missing in two.
        self.missing_ids: set[str] = set()
        self._folder = folder
        self._written = 0

    def keep(self, answer: SliceAnswer) -> None:
        """Write the answers for a slice."""
        self.trace_ids |= answer.trace_ids
        self.missing_ids |= answer.missing_ids
        if not answer.pages:
            return
        self._written += 1
        pages = answer.pages
        # Several answers are a line each: JSON has no line feed within a value.
        content = pages[0] if len(pages) == 1 else b"\n".join(page.replace(b"\n", b" ") for page in pages)
        (self._folder / f"traces-{self._written:06}.json").write_bytes(content)


class _Progress:
    """Reports the progress of a download every few seconds."""

    def __init__(self, client: ReadOnlyClient, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def show(self, read: WindowRead, traces: int) -> None:
        """Report how much is read, at most once in a few seconds."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_SECONDS
            received = self._client.received_bytes / 1e6
            self._say(f"{traces:,} traces, {received:.0f} MB, {read.left:,} slices to go")
