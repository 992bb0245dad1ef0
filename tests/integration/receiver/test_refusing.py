"""Invalid export requests and settings: the receiver rejects them with a reason, and continues to work."""

import gzip
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.rpc.status_pb2 import Status

from observability.receiver.__main__ import main
from tests.integration.receiver.conftest import RunningReceiver, StartReceiver, receivers
from tests.integration.receiver.http import GZIPPED, PROTOBUF, ask, export
from tests.integration.receiver.requests import request_of
from tests.patience import PATIENCE_SECONDS

_LIMIT = 10_000


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """Run a receiver with a small limit on bodies."""
    with receivers(tmp_path_factory.mktemp("bounded")) as start:
        yield start(maximum_body_bytes=_LIMIT)


@pytest.mark.parametrize(
    ("status", "headers", "body", "says"),
    [
        pytest.param(400, PROTOBUF, b"\xff\xff", "not an ExportTraceServiceRequest", id="not protobuf"),
        pytest.param(400, GZIPPED, b"plain", "not valid gzip", id="not gzip"),
        pytest.param(400, GZIPPED, b"", "is incomplete", id="empty gzip"),
        pytest.param(400, GZIPPED, gzip.compress(b"x" * 900)[:-9], "is incomplete", id="cut gzip"),
        pytest.param(413, PROTOBUF, b"x" * (_LIMIT + 1), "larger than 10,000 bytes", id="large"),
        pytest.param(413, GZIPPED, gzip.compress(bytes(100 * _LIMIT)), "decompressed body is larger", id="gzip bomb"),
        pytest.param(415, {"Content-Type": "application/json"}, b"{}", "application/x-protobuf", id="json"),
        pytest.param(415, {**PROTOBUF, "Content-Encoding": "br"}, b"", "gzip or identity, not 'br'", id="brotli"),
    ],
)
def test_a_bad_export_is_refused_with_its_reason(
    bounded: RunningReceiver, status: int, headers: dict[str, str], body: bytes, says: str
) -> None:
    answer = export(bounded.address, body, headers)
    assert answer.status == status
    if answer.headers["content-type"] == "application/x-protobuf":
        assert says in Status.FromString(answer.body).message
    else:
        assert says in answer.body.decode()
    assert bounded.lines() == []


def test_a_span_without_a_whole_id_is_refused(receiver: RunningReceiver) -> None:
    request = request_of("one")
    request.resource_spans[0].scope_spans[0].spans[0].span_id = b"short"
    answer = export(receiver.address, request.SerializeToString())
    assert (answer.status, receiver.lines()) == (400, [])


def test_the_bound_holds_without_a_content_length(bounded: RunningReceiver) -> None:
    host, _, port = bounded.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        chunk = b"%x\r\n%s\r\n" % (_LIMIT + 1, b"x" * (_LIMIT + 1))
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunk
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_arrive_times_out(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(body_timeout_seconds=0.1)
    host, _, port = receiver.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_senders_without_bodies_keep_no_others_out(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(maximum_pending_requests=1)
    host, _, port = receiver.address.rpartition(":")
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\n"
    slow = [socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) for _ in range(5)]
    for connection in slow:
        connection.sendall(head)
    assert export(receiver.address, request_of("one").SerializeToString()).status == 200
    for connection in slow:
        connection.close()


def test_a_head_without_end_is_refused(receiver: RunningReceiver) -> None:
    host, _, port = receiver.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Endless: " + b"a" * 100_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/traces", 405), ("POST", "/livez", 405), ("POST", "/v1/logs", 404), ("GET", "/", 404)],
)
def test_other_paths_and_methods_are_answered_plainly(
    receiver: RunningReceiver, method: str, path: str, status: int
) -> None:
    assert ask(receiver.address, method, path).status == status


def test_a_full_disk_loses_no_whole_line_and_asks_for_a_retry(start_receiver: StartReceiver) -> None:
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("prlimit of util-linux is not here")
    receiver = start_receiver(prefix=(prlimit, "--fsize=2000"))
    body = request_of("one", padding="x" * 600).SerializeToString()
    answers = [export(receiver.address, body) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 503, 503]
    assert answers[-1].headers["retry-after"] == "1"
    assert len(receiver.lines()) == 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "RECEIVER_DIRECTORY"),
        ({"RECEIVER_DIRECTORY": "traces", "RECEIVER_LISTEN": "nowhere"}, "must be host:port"),
        ({"RECEIVER_DIRECTORY": "traces", "RECEIVER_LISTEN": "0.0.0.0:0"}, "is not this machine"),
        ({"RECEIVER_DIRECTORY": "traces", "RECEIVER_FORWARD_ENDPOINT": "localhost:4318"}, "RECEIVER_FORWARD_ENDPOINT"),
        ({"RECEIVER_DIRECTORY": "traces", "RECEIVER_FORWARD_PROTOCOL": "http/json"}, "'http/protobuf' or 'grpc'"),
        ({"RECEIVER_DIRECTORY": "traces", "RECEIVER_FORWARD_HEADERS": "a-key"}, "must be name=value"),
        ({"RECEIVER_DIRECTORY": "traces", "RECEIVER_LISTENS": "127.0.0.1:0"}, "did you mean RECEIVER_LISTEN?"),
    ],
)
def test_settings_that_cannot_be_are_one_line(
    settings: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert main() == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "status", "says"),
    [
        ({}, 2, "RECEIVER_DIRECTORY"),
        ({"RECEIVER_DIRECTORY": "/dev/null/traces", "RECEIVER_LISTEN": "127.0.0.1:0"}, 1, "cannot write in"),
    ],
)
def test_a_start_that_cannot_be_is_one_line(tmp_path: Path, settings: dict[str, str], status: int, says: str) -> None:
    ended = _run(tmp_path, settings)
    assert (ended.returncode, ended.stderr.count("\n")) == (status, 1)
    assert says in ended.stderr


def test_a_taken_port_is_one_line(receiver: RunningReceiver, tmp_path: Path) -> None:
    ended = _run(tmp_path, {"RECEIVER_DIRECTORY": "other", "RECEIVER_LISTEN": receiver.address})
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert f"cannot listen on {receiver.address}" in ended.stderr


def _run(folder: Path, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings, "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(
        [sys.executable, "-m", "observability.receiver"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
