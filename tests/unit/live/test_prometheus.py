"""Tests of the metrics that are read from Prometheus."""

import json
from pathlib import Path

import pytest

from observability.analysis.observation_folder import read_observation
from observability.live.http_client import ReadOnlyClient
from observability.live.prometheus import MOST_POINTS, download_metrics, step_seconds
from observability.live.time_slices import TimeSlice
from tests.unhurried import PATIENT_DOWNLOAD
from tests.unit.live.stand_ins import Answer, Asked, as_json, prometheus, served

WINDOW = TimeSlice(1_000.0, 1_900.0)


def client() -> ReadOnlyClient:
    return ReadOnlyClient(limits=PATIENT_DOWNLOAD, headers={})


def test_metrics_become_scrapes_named_after_their_services(tmp_path: Path) -> None:
    with served(prometheus) as (url, _):
        assert download_metrics(url, WINDOW, client(), tmp_path / "scrapes.jsonl") == 2
    span = {"traceId": "a" * 32, "spanId": "b" * 16}
    (tmp_path / "t.json").write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    first, second = read_observation(tmp_path).scrapes
    assert (first.at_seconds, first.target, second.at_seconds) == (1_000.0, "order", 1_005.0)
    assert first.scrape.total("db_client_connection_max", instance='a"b:1') == 7
    assert second.scrape.total("process_cpu_seconds_total", job="shop/order") == 8


def test_processors_of_a_machine_are_summed_by_prometheus(tmp_path: Path) -> None:
    """A machine of 64 processors has 512 series; the names of limits and runtimes are looked for, too."""
    wanted = ["container_spec_cpu_quota", "go_sched_gomaxprocs_threads", "node_cpu_seconds_total", "python_info"]
    asked: list[str] = []

    def answer(question: Asked) -> Answer:
        if question.path.endswith("/values"):
            return as_json({"status": "success", "data": [*wanted, "go_goroutines", "node_load1"]})
        asked.append(question.parameters["query"])
        return as_json({"status": "success", "data": {"resultType": "matrix", "result": []}})

    with served(answer) as (url, _):
        download_metrics(url, WINDOW, client(), tmp_path / "scrapes.jsonl")
    assert asked == [*wanted[:2], "sum without (cpu) (node_cpu_seconds_total)", wanted[3]]


@pytest.mark.parametrize("seconds", [90.0, 900.0, 86_400.0, 30 * 86_400.0, 1e9])
def test_a_series_has_at_most_as_many_points_as_prometheus_returns(seconds: float) -> None:
    assert seconds / step_seconds(TimeSlice(0.0, seconds)) + 1 <= MOST_POINTS
