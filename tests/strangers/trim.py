"""Trims a recording of a foreign system to the traces of its first requests, so that it can be committed.

python -m tests.strangers.trim FOLDER writes tests/strangers/recorded/NAME.tar.xz, NAME being that of the folder.
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson

from tests.recorded.trim import pack
from tests.unit.analysis.trace_writers import traces_of

REQUESTS = 60
# A trace with fewer spans is none of a request: it is of a scrape, or of what a server does at its start.
FEWEST_SPANS = 6
_DROPPED = ("events", "flags")

Json = dict[str, Any]


def main(folder: str) -> None:
    """Trim and pack one recording."""
    whole = Path(folder)
    since = orjson.loads((whole / "requests.json").read_bytes())["from"] * 1e9
    traces = sorted((each for each in traces_of(whole / "traces.jsonl") if _start(each) >= since), key=_start)
    requests = [trace for trace in traces if len(trace) >= FEWEST_SPANS][:REQUESTS]
    kept = [trace for trace in traces if _start(trace) <= _start(requests[-1])]
    with tempfile.TemporaryDirectory() as scratch:
        lines = (orjson.dumps(_trimmed(trace), option=orjson.OPT_APPEND_NEWLINE) for trace in kept)
        (Path(scratch) / "traces.jsonl").write_bytes(b"".join(lines))
        pack(Path(scratch), Path(__file__).parent / "recorded" / f"{whole.name}.tar.xz")


def _start(trace: list[Json]) -> int:
    return min(int(_span(resource)["startTimeUnixNano"]) for resource in trace)


def _span(resource: Json) -> Json:
    span: Json = resource["scopeSpans"][0]["spans"][0]
    return span


def _trimmed(trace: list[Json]) -> Json:
    """Return a request of the spans by service, without what the diagnosis never reads."""
    by_service: dict[str, list[Json]] = defaultdict(list)
    for resource in trace:
        (service,) = (each for each in resource["resource"]["attributes"] if each["key"] == "service.name")
        span = {key: value for key, value in _span(resource).items() if key not in _DROPPED}
        by_service[service["value"]["stringValue"]].append(span)
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"spans": spans}],
            }
            for service, spans in by_service.items()
        ]
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
