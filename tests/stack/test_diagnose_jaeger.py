"""`plumb diagnose --jaeger` on a real Jaeger says what it says on the recording that was sent there."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from observability.cli import diagnose, main
from observability.live import jaeger as source
from observability.live.http_client import ReadOnlyClient
from observability.live.jaeger import JaegerSource
from observability.live.time_slices import TimeSlice
from tests.recorded.recordings import RECORDED, unpack
from tests.stack.jaeger import Jaeger
from tests.stack.processes import eventually
from tests.unhurried import PATIENT_DOWNLOAD

RECORDING = "n_plus_one"
SERVICE = "order"
MINUTES_AGO = 300 * 10**9
# However long the tests take: the recording is still within it.
SINCE, SINCE_SECONDS = "1h", 3600


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a download take as long as a slow machine needs."""
    monkeypatch.setattr(diagnose, "DownloadLimits", lambda: PATIENT_DOWNLOAD)


@pytest.fixture(scope="module")
def sent(search: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Send the recording to Jaeger as if it had been minutes ago; return the number of its traces with the service."""
    folder = tmp_path_factory.mktemp("sent")
    lines = [json.loads(line) for line in (unpack(RECORDING, folder) / "traces.jsonl").read_text().splitlines()]
    found = [
        (resource, span)
        for line in lines
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    later = time.time_ns() - MINUTES_AGO - min(int(span["startTimeUnixNano"]) for _, span in found)
    for _, span in found:
        for key in ("startTimeUnixNano", "endTimeUnixNano"):
            span[key] = str(int(span[key]) + later)
    (folder / "traces.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("OTEL_")]:
            patched.delenv(name)
        patched.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        ran = CliRunner().invoke(main, ["traces", "send", str(folder), "--endpoint", f"http://{search.otlp}"])
    assert ran.exit_code == 0, ran.stderr
    of_service = {"key": "service.name", "value": {"stringValue": SERVICE}}
    traces = len({span["traceId"] for resource, span in found if of_service in resource["resource"]["attributes"]})
    eventually(lambda: len(search.search(SERVICE)) == traces, what="Jaeger has all traces")
    return traces


def verdict_of(*arguments: str) -> dict[str, Any]:
    ran = CliRunner().invoke(main, ["diagnose", "--json", *arguments])
    assert ran.exit_code == 1, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("most_traces", [200, 7])
def test_the_verdict_is_that_of_the_recording(
    search: Jaeger, sent: int, most_traces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few traces an answer, slices are halved until all fit; the saved folder gives the same verdict."""
    monkeypatch.setattr(source, "_MOST_TRACES", most_traces)
    saved = str(tmp_path / "saved")
    live = verdict_of("--jaeger", f"http://{search.query}", "--service", SERVICE, "--since", SINCE, "--save", saved)
    expected = RECORDED[RECORDING]
    assert (live["bottleneck"], live["service"], live["operation"]) == (
        expected.bottleneck,
        expected.service,
        expected.operation,
    )
    assert (live["requests"], live["coverage"]["traces"], live["unread"]) == (60, sent, [])
    assert verdict_of(saved) == live


@pytest.mark.parametrize("has_v3", [True, False], ids=["v3", "v1"])
def test_both_apis_find_the_same_traces(search: Jaeger, sent: int, has_v3: bool) -> None:
    jaeger = JaegerSource(f"http://{search.query}", ReadOnlyClient(limits=PATIENT_DOWNLOAD, headers={}))
    assert SERVICE in jaeger.services()
    assert jaeger._has_v3
    jaeger._has_v3 = has_v3
    now = time.time()
    answer = jaeger.fetch(TimeSlice(now - SINCE_SECONDS, now), SERVICE, "")
    assert (len(answer.trace_ids), answer.is_full) == (sent, False)
    assert jaeger.fetch(TimeSlice(now - 9000, now - 8000), SERVICE, "").pages == ()
    assert jaeger.fetch(TimeSlice(now - SINCE_SECONDS, now), SERVICE, "no such operation").pages == ()


def test_without_a_service_those_of_jaeger_are_listed(search: Jaeger, sent: int) -> None:
    assert sent
    ran = CliRunner().invoke(main, ["diagnose", "--jaeger", f"http://{search.query}"])
    assert (ran.exit_code, ran.stdout) == (3, "")
    assert ran.stderr.endswith("has inventory, notification, order\n")
