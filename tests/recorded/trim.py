"""Trims an observation to its first requests and the samples taken meanwhile, so that it can be committed.

python -m tests.recorded.trim FOLDER NAME writes tests/recorded/NAME.tar.xz, if its verdict is that of the whole folder.
"""

import io
import sys
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation_folder import read_observation
from observability.analysis.requests import requests_of
from observability.analysis.verdict import Verdict
from tests.recorded.recordings import archive_of, place_of

Json = dict[str, Any]

REQUESTS = 60
COUNTED = ("statements.jsonl", "tables.jsonl", "caches.jsonl")
_SCRAPES_A_TARGET = 5


@dataclass(frozen=True, slots=True)
class Window:
    """What is kept: the traces, and all that was seen between two times, in seconds.

    `share` is that of the whole time for which statements, tables and keys were counted.
    """

    trace_ids: frozenset[str]
    from_seconds: float
    until_seconds: float
    share: float

    def holds(self, row: Json) -> bool:
        """Say whether a row was seen within it."""
        return self.from_seconds <= float(row["at"]) <= self.until_seconds


def main(folder: str, name: str) -> None:
    """Trim and pack one observation. Raises ValueError when the verdict is another then."""
    with tempfile.TemporaryDirectory() as scratch:
        part = Path(scratch)
        trim(Path(folder), part)
        before, after = (place_of(verdict_on(each)) for each in (Path(folder), part))
        if before != after:
            raise ValueError(f"the whole says {before}, its first {REQUESTS} requests say {after}: keep more of it")
        pack(part, archive_of(name))


def verdict_on(folder: Path) -> Verdict:
    """Diagnose a folder."""
    return diagnose(read_observation(folder))


def trim(whole: Path, part: Path, *, requests: int = REQUESTS) -> None:
    """Write the first requests of an observation to an empty folder; what is counted counts in proportion."""
    window = window_of(whole, requests)
    _write(part / "traces.jsonl", _traces(whole, window))
    _write(part / "scrapes.jsonl", _scrapes(filter(window.holds, _rows(whole / "scrapes.jsonl"))))
    for name in ("sessions.jsonl", "processes.jsonl"):
        _write(part / name, filter(window.holds, _rows(whole / name)))
    for name in COUNTED:
        _write(part / name, (_in_proportion(row, window.share) for row in _rows(whole / name)))
    seen = orjson.loads((whole / "requests.json").read_bytes())
    seen["until"] = window.until_seconds
    # What is known of each request: a folder of an earlier version has no answers.
    for name in {"latencies_seconds", "answered"} & seen.keys():
        seen[name] = seen[name][:requests]
    _write(part / "requests.json", [seen])


def window_of(whole: Path, requests: int) -> Window:
    """Find where the first requests of an observation end: halfway to the one after them."""
    observation = read_observation(whole)
    assert observation.requests is not None
    starts = sorted(request.root.span.start_nanoseconds for request in requests_of(observation.traces))
    until = (starts[requests - 1] + starts[requests]) / 2e9
    looks = [sample.at_seconds for sample in observation.processes]
    tops = ((trace.trace_id, (trace.roots or trace.orphans)[0]) for trace in observation.traces)
    return Window(
        trace_ids=frozenset(trace_id for trace_id, top in tops if top.span.start_nanoseconds <= until * 1e9),
        from_seconds=observation.requests.from_seconds,
        until_seconds=until,
        share=(until - observation.requests.from_seconds) / (looks[-1] - looks[0]),
    )


def pack(folder: Path, archive: Path) -> None:
    """Pack a folder's files: the same bytes from the same files each time."""
    with tarfile.open(archive, "w:xz") as tar:
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(path.name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _traces(whole: Path, window: Window) -> Iterable[Json]:
    """Give what is left of each line: the service and its spans of these traces."""
    for path in sorted(whole.glob("traces*.jsonl")):
        for line in _rows(path):
            resources = [
                {"resource": _named(resource["resource"]), "scopeSpans": [{"spans": spans}]}
                for resource in line["resourceSpans"]
                if (spans := _spans(resource, window))
            ]
            if resources:
                yield {"resourceSpans": resources}


def _named(resource: Json) -> Json:
    return {"attributes": [each for each in resource["attributes"] if each["key"] == "service.name"]}


def _spans(resource: Json, window: Window) -> list[Json]:
    return [
        {key: value for key, value in span.items() if key != "flags"}
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        if span["traceId"] in window.trace_ids
    ]


def _scrapes(rows: Iterable[Json]) -> Iterable[Json]:
    """Keep the first, the last and a few between them of each target."""
    by_target: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        by_target[row["target"]].append(row)
    for scrapes in by_target.values():
        steps = {round(step * (len(scrapes) - 1) / (_SCRAPES_A_TARGET - 1)) for step in range(_SCRAPES_A_TARGET)}
        yield from (scrapes[step] for step in sorted(steps))


def _in_proportion(row: Json, share: float) -> Json:
    """Count a part of what was counted; how many rows a table has is no count of what happened."""
    return {key: value if key == "live_rows" else _part(value, share) for key, value in row.items()}


def _part(value: object, share: float) -> object:
    match value:
        case int():
            return round(value * share)
        case float():
            return value * share
        case _:
            return value


def _rows(path: Path) -> Iterable[Json]:
    """Give the lines of a file; of one that was not written then, none."""
    return (orjson.loads(line) for line in (path.read_bytes().splitlines() if path.exists() else ()))


def _write(path: Path, rows: Iterable[Json]) -> None:
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
