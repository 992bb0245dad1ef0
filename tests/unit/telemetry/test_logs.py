"""Log lines: their way to standard output and to a bounded file, and what stands in them."""

import json
import logging
from io import BytesIO
from pathlib import Path

import pytest
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from observability.telemetry.log_writer import BoundedFile
from observability.telemetry.logs import LibraryLogs, LogOutputs, make_logger, open_outputs, take_over_library_logs
from tests.unit.telemetry.counted import Dropped

LIMIT_SECONDS = 60.0


@pytest.fixture
def stdout(tmp_path: Path) -> Path:
    """Return the path of a file that replaces standard output."""
    return tmp_path / "stdout"


def logged(stdout: Path) -> Dropped:
    """Log one event as a process does that writes there, and close the log."""
    with pytest.MonkeyPatch.context() as patch, stdout.open("wb") as file:
        patch.setattr("sys.stdout", file)
        return logged_here()


def logged_here() -> Dropped:
    """Log one event as a process does, and close the log."""
    dropped = Dropped()
    outputs = open_outputs("order", on_dropped=dropped)
    make_logger(service_name="order", level=20, outputs=outputs).info("order.placed")
    outputs.close(timeout_seconds=LIMIT_SECONDS)
    return dropped


def test_without_a_folder_the_stream_is_all_there_is(
    stdout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LOG_FOLDER", raising=False)
    monkeypatch.chdir(tmp_path)
    logged(stdout)
    assert list(tmp_path.iterdir()) == [stdout]


def test_a_line_is_the_same_in_the_stream_and_in_the_file(
    stdout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOG_FOLDER", str(tmp_path))
    logged(stdout)
    assert (tmp_path / "order.jsonl").read_bytes() == stdout.read_bytes()
    assert json.loads(stdout.read_bytes())["event"] == "order.placed"


def test_a_missing_folder_is_an_error_at_the_start(
    stdout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOG_FOLDER", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError):
        logged(stdout)
    assert stdout.read_bytes() == b""


def test_a_process_without_standard_output_logs_to_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOG_FOLDER", raising=False)
    monkeypatch.setattr("sys.stdout", None)
    assert logged_here().total == 0


def test_a_file_that_takes_nothing_costs_no_line_of_the_stream(
    stdout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "order.jsonl").symlink_to("/dev/full")
    monkeypatch.setenv("LOG_FOLDER", str(tmp_path))
    dropped = logged(stdout)
    assert json.loads(stdout.read_bytes())["event"] == "order.placed"
    assert dropped.lines == {"stdout": 0, "file": 1}


def written(path: Path, *, lines: int) -> None:
    """Fill a file of 100 bytes with lines of 30, as they come from a queue, several at once."""
    file = BoundedFile(path, maximum_bytes=100)
    data = b"".join(b"%029d\n" % number for number in range(lines))
    while data:
        data = data[file.write(data) :]


def test_the_files_never_hold_more_than_twice_the_limit(tmp_path: Path) -> None:
    written(tmp_path / "order.jsonl", lines=50)
    assert {file.name: file.stat().st_size for file in tmp_path.iterdir()} == {"order.jsonl": 60, "order.jsonl.1": 90}


def test_the_newest_lines_survive_a_rotation_in_their_order(tmp_path: Path) -> None:
    written(tmp_path / "order.jsonl", lines=50)
    kept = (tmp_path / "order.jsonl.1").read_bytes() + (tmp_path / "order.jsonl").read_bytes()
    assert [int(line) for line in kept.splitlines()] == [45, 46, 47, 48, 49]


def test_a_line_longer_than_a_file_is_kept_whole(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "order.jsonl", maximum_bytes=10)
    for line in (b"short\n", b"longer than ten\n", b"short\n"):
        assert file.write(line) == len(line)
    assert (tmp_path / "order.jsonl.1").read_bytes() == b"longer than ten\n"


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ("ExecuteBatchError raised in core by servicer method [/shop.order.v1.OrderService/GetOrder]", "info"),
        ("Unexpected [KeyError] raised by servicer method [/shop.order.v1.OrderService/GetOrder]", "error"),
    ],
)
def test_a_disconnected_caller_is_no_error(message: str, level: str) -> None:
    stream = BytesIO()
    log = make_logger(service_name="order", level=20, outputs=LogOutputs(stream.write))
    LibraryLogs(log).emit(logging.LogRecord("grpc", logging.ERROR, "", 0, message, (), None))
    assert json.loads(stream.getvalue())["level"] == level


@pytest.mark.parametrize("header", ["secret", "mail=jane@example.org\u00e9", f"mail=secret{'x' * 8192}"])
def test_a_callers_baggage_is_not_in_the_log(header: str) -> None:
    """OpenTelemetry's own warnings quote it."""
    stream = BytesIO()
    take_over_library_logs(make_logger(service_name="order", level=20, outputs=LogOutputs(stream.write)))
    W3CBaggagePropagator().extract({"baggage": header})
    assert b"Baggage" in stream.getvalue()
    assert b"secret" not in stream.getvalue()
    assert b"jane" not in stream.getvalue()
