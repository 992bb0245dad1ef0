"""`plumb diagnose --jaeger`, `--tempo` and `--prometheus` on answers as the APIs' documentation has them."""

import gzip
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from observability.analysis.coverage import LEAST_SHARE
from observability.analysis.observation_folder import read_observation
from observability.cli import diagnose, main
from observability.live import jaeger, tempo, time_slices
from observability.live.http_client import DownloadLimits
from tests.recorded.recordings import RECORDED, unpack
from tests.unhurried import PATIENT_DOWNLOAD
from tests.unit.analysis.trace_writers import Json, traces_of
from tests.unit.live import stand_ins
from tests.unit.live.stand_ins import Answer, Respond, prometheus, served

RECORDING = "n_plus_one"
SERVICE = "order"
NOW_SECONDS = 1_800_000_000


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command take as long as a slow machine needs: its clock stands still, and its limits are long."""
    monkeypatch.setattr(time_slices, "time", SimpleNamespace(time=lambda: NOW_SECONDS))
    monkeypatch.setattr(diagnose, "DownloadLimits", lambda: PATIENT_DOWNLOAD)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[list[Json]]:
    """Return the traces of a recorded run, as if it had been minutes ago."""
    found = traces_of(unpack(RECORDING, tmp_path_factory.mktemp("recorded")) / "traces.jsonl")
    spans = [resource["scopeSpans"][0]["spans"][0] for trace in found for resource in trace]
    later = (NOW_SECONDS - 400) * 10**9 - min(int(span["startTimeUnixNano"]) for span in spans)
    for span in spans:
        for key in ("startTimeUnixNano", "endTimeUnixNano"):
            span[key] = str(int(span[key]) + later)
    return found


def plumb(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["diagnose", *map(str, arguments)])


def verdict_of(*arguments: object) -> dict[str, Any]:
    ran = plumb("--json", *arguments)
    assert ran.exit_code == 1, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


STORES: dict[str, Callable[[list[list[Json]]], Respond]] = {"jaeger": stand_ins.jaeger, "tempo": stand_ins.tempo}
MODULES = {"jaeger": jaeger, "tempo": tempo}
FEW = {"jaeger": 30, "tempo": 80}


@pytest.mark.parametrize("store", STORES)
def test_the_verdict_is_that_of_the_recording_and_a_saved_folder_repeats_it(
    store: str, traces: list[list[Json]], tmp_path: Path
) -> None:
    """Also when the store returns a few traces at once, so that slices are halved again and again."""
    with served(STORES[store](traces)) as (url, _), pytest.MonkeyPatch.context() as patched:
        patched.setattr(MODULES[store], "_MOST_TRACES", FEW[store])
        live = verdict_of(f"--{store}", url, "--service", SERVICE, "--save", tmp_path / "saved")
    expected = RECORDED[RECORDING]
    assert (live["bottleneck"], live["service"], live["operation"]) == (
        expected.bottleneck,
        expected.service,
        expected.operation,
    )
    assert live["requests"] == 60
    assert live["coverage"]["traces"] == sum(SERVICE in stand_ins.services_of(trace) for trace in traces)
    assert live["coverage"]["read_seconds"] == pytest.approx(900)
    assert verdict_of(tmp_path / "saved") == live


def test_an_old_tempo_is_read_by_its_old_paths(traces: list[list[Json]]) -> None:
    with served(stand_ins.tempo(traces, v2=False)) as (url, asked):
        assert verdict_of("--tempo", url, "--service", SERVICE)["requests"] == 60
    assert sum(each.path.startswith("/api/v2/traces") for each in asked) == 1


def test_traces_that_are_gone_are_counted(traces: list[list[Json]]) -> None:
    """Once, though the slices are halved to seconds, whose bounds are rounded so that they overlap."""
    gone = frozenset(stand_ins.trace_id_of(trace) for trace in traces if SERVICE in stand_ins.services_of(trace))
    gone = frozenset(sorted(gone)[:5])
    with served(stand_ins.tempo(traces, gone=gone)) as (url, _), pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempo, "_MOST_TRACES", FEW["tempo"])
        ran = plumb("--tempo", url, "--service", SERVICE)
    assert "; 5 could not be fetched" in ran.stdout


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("service", ["", "ordr"])
def test_without_a_service_that_exists_the_services_are_listed(
    store: str, service: str, traces: list[list[Json]]
) -> None:
    with served(STORES[store](traces)) as (url, _):
        ran = plumb(f"--{store}", url, *(["--service", service] if service else []))
    assert ran.exit_code == 3
    assert ran.stderr.endswith(f"{url} has inventory, notification, order\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--jaeger", "http://127.0.0.1:1", "--service", "a"), "cannot be read"),
        (("--jaeger", "localhost:16686", "--service", "a"), "is not a URL like"),
        (("--jaeger", "file:///etc/passwd", "--service", "a"), "is not a URL like"),
        (("--tempo", "http://127.0.0.1:1", "--service", "a", "--since", "soon"), "correct --since"),
        (("--tempo", "http://a", "--jaeger", "http://b"), "name one source"),
        ((".", "--prometheus", "http://a"), "--prometheus and --save need"),
        ((".", "--baseline-since", "1d"), "--baseline-since needs"),
        (("--jaeger", "http://a", "--baseline", ".", "--baseline-since", "1d"), "--baseline-since needs"),
        (("--jaeger", "http://a", "--service", "a", "--baseline-since", "5m"), "make --baseline-since at least"),
        (("--jaeger", "http://a", "--service", "a", "--baseline-since", "5"), "correct --baseline-since"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_status_3(arguments: tuple[str, ...], said: str) -> None:
    ran = plumb(*arguments)
    assert ran.exit_code == 3
    [line] = ran.stderr.splitlines()
    assert said in line


@pytest.mark.parametrize("option", ["--jaeger", "--tempo"])
@pytest.mark.parametrize("body", [b"<html>", b"[]", b"7", b'{"services": 7, "data": null, "tagValues": {}}'])
def test_another_server_is_told_apart(option: str, body: bytes) -> None:
    with served(lambda _: Answer(body)) as (url, _):
        ran = plumb(option, url, "--service", "a")
    assert (ran.exit_code, len(ran.stderr.splitlines())) == (3, 1)


@pytest.mark.parametrize("option", ["--jaeger", "--tempo"])
def test_a_list_of_services_that_is_too_long_is_one_sentence(option: str) -> None:
    body = gzip.compress(bytes(DownloadLimits().answer_bytes + 1))
    with served(lambda _: Answer(body, headers={"Content-Encoding": "gzip"})) as (url, _):
        ran = plumb(option, url, "--service", "a")
    assert ran.exit_code == 3
    [line] = ran.stderr.splitlines()
    assert line.endswith("answered with more than 34 MB")


def test_a_folder_that_holds_something_is_not_saved_into(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    ran = plumb("--jaeger", "http://127.0.0.1:1", "--service", "a", "--save", tmp_path)
    assert ran.exit_code == 3
    assert "is no empty folder" in ran.stderr


def test_a_live_baseline_is_as_long_a_time_that_began_earlier(traces: list[list[Json]], tmp_path: Path) -> None:
    """The store has the same traces an hour ago; a saved folder keeps both times."""
    hour = 3600 * 10**9
    before = deepcopy(traces)
    for span in (span for trace in before for each in trace for span in each["scopeSpans"][0]["spans"]):
        for key in ("startTimeUnixNano", "endTimeUnixNano"):
            span[key] = str(int(span[key]) - hour)
    with served(stand_ins.jaeger([*traces, *before])) as (url, _):
        saved = tmp_path / "saved"
        live = verdict_of("--jaeger", url, "--service", SERVICE, "--baseline-since", "1h", "--save", saved)
    assert live["reasons"][-1].startswith("requests show no clear slowdown against the baseline, but ")
    assert verdict_of(saved, "--baseline", saved / "baseline")["reasons"] == live["reasons"]


def test_too_small_a_part_of_the_window_means_cannot_tell(traces: list[list[Json]], tmp_path: Path) -> None:
    with served(stand_ins.jaeger(traces)) as (url, _):
        plumb("--jaeger", url, "--service", SERVICE, "--save", tmp_path / "saved")
    file = tmp_path / "saved/coverage.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"read_seconds": 900 * LEAST_SHARE / 2}))
    ran = plumb(tmp_path / "saved")
    assert (ran.exit_code, f"at least {LEAST_SHARE:.0%} is needed" in ran.stdout) == (2, True)


def test_metrics_are_read_beside_traces(traces: list[list[Json]], tmp_path: Path) -> None:
    with served(prometheus) as (metrics, _), served(stand_ins.jaeger(traces)) as (url, _):
        ran = plumb("--jaeger", url, "--prometheus", metrics, "--service", SERVICE, "--save", tmp_path / "saved")
    assert ran.exit_code == 1
    assert f"read 2 series from Prometheus at {metrics}" in ran.stderr
    assert len(read_observation(tmp_path / "saved").scrapes) == 2
