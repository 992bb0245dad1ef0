"""Prometheus: downloads the metrics that a diagnosis reads, and writes them as scrapes."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from observability.analysis.processor_metrics import is_machine_metric, is_processor_metric
from observability.live.http_client import ReadOnlyClient, SourceFailed
from observability.live.time_slices import TimeSlice

# Names differ between libraries and collectors, so these are looked for among the names that exist.
WANTED = re.compile(r"db_client_connections?_\w+|\w*event_?loop_lag\w*|nodejs_eventloop_\w+")
# Prometheus refuses more points of one series.
MOST_POINTS = 11_000
_USUAL_POINTS = 200
_SHORTEST_STEP_SECONDS = 5
_MOST_METRICS = 60
_MATRIX = "matrix"
# The label with the service's name: of OpenTelemetry resources, of a collector's job, or of the scrape's own job.
_TARGET_LABELS = ("service_name", "exported_job", "job")


def download_metrics(url: str, window: TimeSlice, client: ReadOnlyClient, path: Path) -> int:
    """Write the scrapes of a window to a file; return how many series they hold.

    A target is named after its service. Raises as ReadOnlyClient.get does.
    """
    samples: dict[tuple[float, str], list[str]] = defaultdict(list)
    series = 0
    for name in _names(url, window, client):
        for each in _series(url, name, window, client):
            series += 1
            for (at, target), line in _lines(name, each):
                samples[at, target].append(line)
    with path.open("wb") as file:
        for (at, target), lines in sorted(samples.items()):
            text = "\n".join((*lines, ""))
            file.write(orjson.dumps({"at": at, "target": target, "text": text}, option=orjson.OPT_APPEND_NEWLINE))
    return series


def step_seconds(window: TimeSlice) -> int:
    """Return the distance of two points, so that a series has at most MOST_POINTS."""
    step = max(_SHORTEST_STEP_SECONDS, math.ceil(window.seconds / _USUAL_POINTS))
    return max(step, math.ceil(window.seconds / (MOST_POINTS - 1)))


def _names(url: str, window: TimeSlice, client: ReadOnlyClient) -> list[str]:
    bounds = {"start": window.start, "end": window.end}
    names = _data(url, client.get_json(f"{url}/api/v1/label/__name__/values", bounds), list)
    wanted = (name for name in map(str, names) if WANTED.fullmatch(name) or is_processor_metric(name))
    return sorted(wanted)[:_MOST_METRICS]


def _series(url: str, name: str, window: TimeSlice, client: ReadOnlyClient) -> Iterable[dict[str, Any]]:
    # The use of each processor of each machine would be hundreds of series, of which only the sum is needed.
    query = f"sum without (cpu) ({name})" if is_machine_metric(name) else name
    parameters = {"query": query, "start": window.start, "end": window.end, "step": step_seconds(window)}
    data = _data(url, client.get_json(f"{url}/api/v1/query_range", parameters), dict)
    if data.get("resultType") != _MATRIX:
        raise SourceFailed(f"{url} does not answer like Prometheus")
    return list(data["result"])


def _data(url: str, answer: Any, kind: type) -> Any:  # noqa: ANN401 - any JSON
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, kind):
        raise SourceFailed(f"{url} does not answer like Prometheus")
    return data


def _lines(name: str, series: dict[str, Any]) -> Iterator[tuple[tuple[float, str], str]]:
    """Yield the time and target of each point, and its line in Prometheus' text format."""
    labels = {key: value for key, value in series["metric"].items() if key != "__name__"}
    target = next((labels[key] for key in _TARGET_LABELS if labels.get(key)), "")
    # A Collector's job is the namespace and the name of a service.
    target = target.rpartition("/")[2]
    written = ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in sorted(labels.items()))
    for at, value in series["values"]:
        yield (float(at), target), f"{name}{{{written}}} {value}"
