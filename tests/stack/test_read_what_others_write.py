"""Files that a real Collector writes in each of its formats, and metrics of a real Prometheus, are read in full."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from observability.analysis.readers.trace_files import read_spans
from observability.analysis.spans import Span
from observability.cli import main
from observability.live.http_client import ReadOnlyClient
from observability.live.prometheus import download_metrics
from observability.live.time_slices import window_since
from tests.patience import PATIENCE_SECONDS
from tests.recorded.recordings import unpack
from tests.stack import programs
from tests.stack.processes import HOST, answers, eventually, free_port, running
from tests.unhurried import PATIENT_DOWNLOAD

FORMATS = {
    "json": {"format": "json"},
    "json_zstd": {"format": "json", "compression": "zstd"},
    "proto": {"format": "proto"},
    "proto_zstd": {"format": "proto", "compression": "zstd"},
}
STEP_SECONDS = 15


def test_each_format_of_the_file_exporter_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = unpack("n_plus_one", tmp_path)
    otlp, health = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
    exporters = {f"file/{name}": {"path": str(tmp_path / name), **each} for name, each in FORMATS.items()}
    configuration = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": otlp}, "http": {"endpoint": health}}}},
        "exporters": exporters,
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": list(exporters)}},
        },
    }
    (tmp_path / "collector.yaml").write_text(yaml.safe_dump(configuration))
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    command = [str(programs.collector()), f"--config={tmp_path / 'collector.yaml'}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # The Collector has no page for its health here, but its receiver of OTLP over HTTP answers when it runs.
        eventually(lambda: _listens(health), what="the Collector listens")
        sent = CliRunner().invoke(main, ["traces", "send", str(recorded), "--endpoint", f"http://{otlp}"])
        assert sent.exit_code == 0, sent.stderr
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_SECONDS)
    expected = _by_id(recorded / "traces.jsonl")
    for name in FORMATS:
        assert _by_id(tmp_path / name) == expected, name


def test_metrics_of_a_real_prometheus_become_scrapes(tmp_path: Path) -> None:
    prometheus, promtool = programs.need("prometheus"), programs.need("promtool")
    now = int(time.time())
    # Into the future, so that the window that is read later is full whenever that is.
    times = range(now - 1200, now + 3600, STEP_SECONDS)
    labels = '{job="shop/order",db_client_connection_pool_name="order"}'
    lines = [f"db_client_connection_max{labels} 5 {at}" for at in times]
    (tmp_path / "metrics").write_text("\n".join(["# TYPE db_client_connection_max gauge", *lines, "# EOF", ""]))
    create = [promtool, "tsdb", "create-blocks-from", "openmetrics", f"{tmp_path}/metrics", f"{tmp_path}/data"]
    subprocess.run(create, check=True, capture_output=True)
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    address = f"{HOST}:{free_port()}"
    command = [prometheus, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with running(
        [*command, f"--web.listen-address={address}"],
        log=tmp_path / "prometheus.log",
        ready=lambda: answers(f"http://{address}/-/ready"),
    ):
        client = ReadOnlyClient(limits=PATIENT_DOWNLOAD, headers={})
        window = window_since("15m")
        assert download_metrics(f"http://{address}", window, client, tmp_path / "scrapes.jsonl") == 1
    rows = [json.loads(line) for line in (tmp_path / "scrapes.jsonl").read_text().splitlines()]
    assert len(rows) == 181
    assert {row["target"] for row in rows} == {"order"}
    assert rows[0]["text"] == 'db_client_connection_max{db_client_connection_pool_name="order",job="shop/order"} 5\n'


def _by_id(path: Path) -> dict[str, Span]:
    """Return the spans of a file that is read in full."""
    read = read_spans([path])
    assert read.unread == ()
    return {span.span_id: span for span in read.spans}


def _listens(address: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{address}/", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
