"""Tests of the client of live sources: its limits, its pauses, and what it sends."""

import gzip
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from observability.live import http_client
from observability.live.http_client import (
    AnswerTooLong,
    DownloadLimits,
    OutOfBudget,
    ReadOnlyClient,
    SourceFailed,
    base_url,
)
from tests.patience import PATIENCE_SECONDS
from tests.unhurried import PATIENT_DOWNLOAD
from tests.unit.live.stand_ins import Answer, served


def client(limits: DownloadLimits | None = None, headers: dict[str, str] | None = None) -> ReadOnlyClient:
    return ReadOnlyClient(limits=limits or PATIENT_DOWNLOAD, headers=headers or {}, pause=lambda _: None)


def test_answers_may_be_packed() -> None:
    body = gzip.compress(b'{"a": 1}')
    with served(lambda _: Answer(body, headers={"Content-Encoding": "gzip"})) as (url, _):
        assert client().get_json(url) == {"a": 1}


def test_bytes_are_bounded_unpacked_by_answer_and_in_all() -> None:
    body = gzip.compress(bytes(1_000_000))
    with served(lambda _: Answer(body, headers={"Content-Encoding": "gzip"})) as (url, _):
        with pytest.raises(AnswerTooLong):
            client(replace(PATIENT_DOWNLOAD, answer_bytes=500_000)).get(url)
        bounded = client(replace(PATIENT_DOWNLOAD, bytes=2_500_000))
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
    """The client looks at the clock after each piece, not only when the body is whole."""
    now_seconds = [0.0]
    slow = ReadOnlyClient(limits=PATIENT_DOWNLOAD, headers={}, clock=lambda: now_seconds[0])

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            now_seconds[0] = 2 * PATIENT_DOWNLOAD.seconds
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n ")
            connection.settimeout(PATIENCE_SECONDS)
            assert not connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        dripped = threads.submit(drip, listener)
        with pytest.raises(OutOfBudget):
            slow.get(f"http://127.0.0.1:{listener.getsockname()[1]}")
        dripped.result()
    assert slow.received_bytes == 1


def test_an_answer_that_is_cut_off_is_not_read() -> None:
    body = gzip.compress(b'{"a": 1}')[:-8]
    cut_off = Answer(body, headers={"Content-Encoding": "gzip"})
    with served(lambda _: cut_off) as (url, _), pytest.raises(SourceFailed, match="cut off"):
        client().get(url)


def test_a_busy_server_is_asked_again_later() -> None:
    answers = iter([Answer(b"", 429, {"Retry-After": "3"}), Answer(b"", 503), Answer(b"7")])
    pauses: list[float] = []
    patient = ReadOnlyClient(limits=PATIENT_DOWNLOAD, headers={}, pause=pauses.append)
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
