"""Where do log lines go? To the stream always; to a file of bounded size when LOG_FOLDER names its folder."""

import json
import logging
from io import BytesIO
from pathlib import Path

import pytest

from observability.telemetry.logs import CopiedStream, LibraryLogs, make_logger

# It opens, and takes nothing.
FULL_DISK = Path("/dev/full")


def test_without_a_folder_the_stream_is_all_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOG_FOLDER", raising=False)
    monkeypatch.chdir(tmp_path)
    make_logger(service_name="order", level=20, stream=BytesIO()).info("order.placed")
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_the_same_in_the_stream_and_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOG_FOLDER", str(tmp_path))
    stream = BytesIO()
    make_logger(service_name="order", level=20, stream=stream).info("order.placed", count=2)
    assert (tmp_path / "order.jsonl").read_bytes() == stream.getvalue()
    assert json.loads(stream.getvalue())["event"] == "order.placed"


def test_a_folder_that_is_not_there_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOG_FOLDER", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError):
        make_logger(service_name="order", level=20, stream=BytesIO())


def test_the_files_never_hold_more_than_twice_the_limit(tmp_path: Path) -> None:
    copied = CopiedStream(BytesIO(), tmp_path / "order.jsonl", maximum_bytes=100)
    for number in range(50):
        copied.write(b"%029d\n" % number)
    assert {file.name: file.stat().st_size for file in tmp_path.iterdir()} == {"order.jsonl": 60, "order.jsonl.1": 90}


def test_the_newest_lines_survive_a_rotation_in_their_order(tmp_path: Path) -> None:
    copied = CopiedStream(BytesIO(), tmp_path / "order.jsonl", maximum_bytes=100)
    for number in range(50):
        copied.write(b"%029d\n" % number)
    kept = (tmp_path / "order.jsonl.1").read_bytes() + (tmp_path / "order.jsonl").read_bytes()
    assert [int(line) for line in kept.splitlines()] == [45, 46, 47, 48, 49]


def test_a_file_that_fails_costs_no_line_of_the_stream() -> None:
    stream = BytesIO()
    copied = CopiedStream(stream, FULL_DISK)
    copied.write(b"one\n")
    copied.write(b"two\n")
    one, failure, two = stream.getvalue().splitlines()
    assert (one, json.loads(failure)["event"], two) == (b"one", "log.copy_given_up", b"two")


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ("ExecuteBatchError raised in core by servicer method [/shop.order.v1.OrderService/GetOrder]", "info"),
        ("Unexpected [KeyError] raised by servicer method [/shop.order.v1.OrderService/GetOrder]", "error"),
    ],
)
def test_a_caller_who_left_unheard_is_no_error(message: str, level: str) -> None:
    stream = BytesIO()
    log = make_logger(service_name="order", level=20, stream=stream)
    LibraryLogs(log).emit(logging.LogRecord("grpc", logging.ERROR, "", 0, message, (), None))
    assert json.loads(stream.getvalue())["level"] == level
