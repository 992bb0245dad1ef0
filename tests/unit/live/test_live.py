"""`plumb diagnose --jaeger`, `--tempo` and `--prometheus` on answers as the APIs' documentation has them."""

import gzip
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from observability.analysis.coverage import LEAST_SHARE
from observability.analysis.observation import read_observation
from observability.cli import main
from observability.live import http_client, jaeger, tempo
from observability.live.http_client import (
    AnswerTooLong,
    DownloadLimits,
    OutOfBudget,
    ReadOnlyClient,
    SourceFailed,
    base_url,
)
from observability.live.prometheus import MOST_POINTS, download_metrics, step_seconds
from observability.live.time_slices import SliceAnswer, TimeSlice, WindowRead, read_window, window_since
from tests.recorded.recordings import RECORDED, unpack
from tests.unit.analysis.trace_writers import Json, traces_of
from tests.unit.live import stand_ins
from tests.unit.live.stand_ins import Answer, Asked, Respond, as_json, served

RECORDING = "n_plus_one"
SERVICE = "order"
WINDOW = TimeSlice(1_000.0, 1_900.0)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[list[Json]]:
    """Return the traces of a recorded run, as if it had been minutes ago."""
    found = traces_of(unpack(RECORDING, tmp_path_factory.mktemp("recorded")) / "traces.jsonl")
    spans = [resource["scopeSpans"][0]["spans"][0] for trace in found for resource in trace]
    later = time.time_ns() - 400 * 10**9 - min(int(span["startTimeUnixNano"]) for span in spans)
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


# --- Slices -----------------------------------------------------------------------------------------------------------


def slices(answer: Callable[[TimeSlice], SliceAnswer], shortest: float = 0.01) -> tuple[WindowRead, list[TimeSlice]]:
    """Read the window; return how much was read, and the slices that were asked for."""
    asked: list[TimeSlice] = []

    def fetch(part: TimeSlice) -> SliceAnswer:
        asked.append(part)
        return answer(part)

    read = read_window(WINDOW, fetch=fetch, keep=lambda _: None, shortest_seconds=shortest, progress=lambda _: None)
    return read, asked


def test_slices_fill_the_window_once() -> None:
    read, asked = slices(lambda part: SliceAnswer(is_full=part.seconds > 10))
    assert read.read_seconds == pytest.approx(WINDOW.seconds)
    parts = sorted((part.start, part.end) for part in asked if part.seconds <= 10)
    assert [part[0] for part in parts[1:]] == pytest.approx([part[1] for part in parts[:-1]])


def test_a_length_that_was_too_long_is_not_asked_for_again() -> None:
    """After the first full answers, slices are halved without a request."""
    _, asked = slices(lambda part: SliceAnswer(is_full=part.seconds > 1))
    assert sum(part.seconds > 4 for part in asked) < 10


def test_what_is_read_before_the_limit_is_spread_over_the_window() -> None:
    left = iter(range(20))

    def answer(part: TimeSlice) -> SliceAnswer:
        if next(left, None) is None:
            raise OutOfBudget("the limit of 1 s")
        return SliceAnswer(is_full=part.seconds > 20)

    read, asked = slices(answer)
    assert (read.stopped_by, read.left > 0) == ("the limit of 1 s", True)
    thirds = {int((part.start - WINDOW.start) / WINDOW.seconds * 3) for part in asked[-10:]}
    assert thirds == {0, 1, 2}


def test_the_shortest_slices_that_are_full_count_as_not_read() -> None:
    read, _ = slices(lambda part: SliceAnswer(is_full=part.start < 1_100), shortest=10.0)
    assert read.truncated > 0
    assert read.read_seconds < WINDOW.seconds


def test_an_answer_that_is_too_long_is_read_in_halves() -> None:
    def answer(part: TimeSlice) -> SliceAnswer:
        if part.seconds > 20:
            raise AnswerTooLong
        return SliceAnswer()

    assert slices(answer)[0].read_seconds == pytest.approx(WINDOW.seconds)


def test_a_failure_ends_the_reading_but_for_the_first() -> None:
    answers = iter([SliceAnswer()])

    def answer(_: TimeSlice) -> SliceAnswer:
        found = next(answers, None)
        if found is None:
            raise SourceFailed("it answered 500")
        return found

    assert slices(answer)[0].stopped_by == "it answered 500"
    with pytest.raises(SourceFailed):
        slices(answer)


@pytest.mark.parametrize("text", ["", "15", "0m", "-5m", "1w", "1.5h", "m"])
def test_a_length_of_time_needs_a_number_and_a_unit(text: str) -> None:
    with pytest.raises(SourceFailed, match="--since"):
        window_since(text)


def test_a_window_ends_when_its_spans_have_come_in() -> None:
    window = window_since("2h")
    assert window.seconds == 7200
    assert window.end < time.time()


# --- The client -------------------------------------------------------------------------------------------------------


def client(limits: DownloadLimits | None = None, headers: dict[str, str] | None = None) -> ReadOnlyClient:
    return ReadOnlyClient(limits=limits or DownloadLimits(), headers=headers or {}, pause=lambda _: None)


def test_answers_may_be_packed() -> None:
    body = gzip.compress(b'{"a": 1}')
    with served(lambda _: Answer(body, headers={"Content-Encoding": "gzip"})) as (url, _):
        assert client().get_json(url) == {"a": 1}


def test_bytes_are_bounded_unpacked_by_answer_and_in_all() -> None:
    body = gzip.compress(bytes(1_000_000))
    with served(lambda _: Answer(body, headers={"Content-Encoding": "gzip"})) as (url, _):
        with pytest.raises(AnswerTooLong):
            client(DownloadLimits(answer_bytes=500_000)).get(url)
        bounded = client(DownloadLimits(bytes=2_500_000))
        bounded.get(url)
        bounded.get(url)
        with pytest.raises(OutOfBudget, match="the limit of 2 MB"):
            bounded.get(url)


def test_seconds_are_bounded() -> None:
    times = iter([0.0, 1.0, 2.0, 200.0])
    late = ReadOnlyClient(limits=DownloadLimits(), headers={}, clock=lambda: next(times, 200.0))
    with served(lambda _: Answer(b"{}")) as (url, _):
        late.get(url)
        with pytest.raises(OutOfBudget, match="the limit of 120 s"):
            late.get(url)


def test_a_body_that_comes_in_slowly_does_not_outlast_the_limit() -> None:
    slow = client(DownloadLimits(seconds=0.5))

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
            for _ in range(200):
                connection.sendall(b" ")
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        threads.submit(drip, listener)
        with pytest.raises(OutOfBudget):
            slow.get(f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert slow.received_bytes < 200


def test_an_answer_that_is_cut_off_is_not_read() -> None:
    body = gzip.compress(b'{"a": 1}')[:-8]
    cut_off = Answer(body, headers={"Content-Encoding": "gzip"})
    with served(lambda _: cut_off) as (url, _), pytest.raises(SourceFailed, match="cut off"):
        client().get(url)


def test_a_busy_server_is_asked_again_later() -> None:
    answers = iter([Answer(b"", 429, {"Retry-After": "3"}), Answer(b"", 503), Answer(b"7")])
    pauses: list[float] = []
    patient = ReadOnlyClient(limits=DownloadLimits(), headers={}, pause=pauses.append)
    with served(lambda _: next(answers)) as (url, _):
        assert patient.get(url) == b"7"
    assert pauses == [3.0, 2.0]


def test_a_redirect_is_not_followed_so_that_no_token_leaves() -> None:
    moved = Answer(b"moved", 302, {"Location": "http://127.0.0.1:1/"})
    with served(lambda _: moved) as (url, _), pytest.raises(SourceFailed, match="answered 302"):
        client(headers={"Authorization": "Bearer secret"}).get(url)


def test_header_fields_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(http_client.HEADERS_VARIABLE, "Authorization=Bearer%20secret, X-Scope-OrgID=7")
    fields = http_client.headers_from_environment()
    with served(lambda _: Answer(b"{}")) as (url, asked):
        client(headers=fields).get(url)
    assert (asked[0].headers["authorization"], asked[0].headers["x-scope-orgid"]) == ("Bearer secret", "7")
    monkeypatch.setenv(http_client.HEADERS_VARIABLE, "secret")
    with pytest.raises(SourceFailed, match="malformed") as raised:
        http_client.headers_from_environment()
    assert "secret" not in str(raised.value)


def test_a_base_url_has_no_last_slash() -> None:
    assert base_url("https://jaeger.example/jaeger/") == "https://jaeger.example/jaeger"


# --- Prometheus -------------------------------------------------------------------------------------------------------


def prometheus(asked: Asked) -> Answer:
    """Answer with one pool that is named as before semantic conventions were stable, and a metric of no use."""
    if asked.path.endswith("/values"):
        return as_json({"status": "success", "data": ["db_client_connection_max", "process_cpu_seconds_total", "up"]})
    assert asked.parameters["query"] != "up"
    step, start, end = (float(asked.parameters[name]) for name in ("step", "start", "end"))
    assert (end - start) / step < MOST_POINTS
    name = asked.parameters["query"]
    metric = {"__name__": name, "job": "shop/order", "instance": 'a"b:1'}
    values = [[start, "7"], [start + step, "8"]]
    data = {"resultType": "matrix", "result": [{"metric": metric, "values": values}]}
    return as_json({"status": "success", "data": data})


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


def test_metrics_are_read_beside_traces(traces: list[list[Json]], tmp_path: Path) -> None:
    with served(prometheus) as (metrics, _), served(stand_ins.jaeger(traces)) as (url, _):
        ran = plumb("--jaeger", url, "--prometheus", metrics, "--service", SERVICE, "--save", tmp_path / "saved")
    assert ran.exit_code == 1
    assert f"read 2 series from Prometheus at {metrics}" in ran.stderr
    assert len(read_observation(tmp_path / "saved").scrapes) == 2
