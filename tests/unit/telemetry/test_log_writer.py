"""Log writer: an output that blocks or fails loses only its own lines, which are counted."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

import pytest

from observability.telemetry import log_writer
from observability.telemetry.log_writer import Descriptor, LogWriter
from tests.unit.telemetry.counted import Dropped

LIMIT_SECONDS = 300.0
LINE = b"x" * 999 + b"\n"


def make_notice(dropped: int, reason: str) -> bytes:
    return f"dropped {dropped}: {reason}\n".encode()


class Pipe:
    """A pipe and a log writer to it; the test controls the reader."""

    def __init__(self, *, maximum_bytes: int = 100_000) -> None:
        self.reader, self.end = os.pipe()
        self.dropped = Dropped()
        output = Descriptor(self.end)
        self.writer = LogWriter(output, make_notice=make_notice, on_dropped=self.dropped, maximum_bytes=maximum_bytes)

    def fill(self) -> int:
        """Write lines past the writer until no more fits; return how many."""
        os.set_blocking(self.end, False)
        lines = 0
        with contextlib.suppress(BlockingIOError):
            while os.write(self.end, LINE):
                lines += 1
        os.set_blocking(self.end, True)
        return lines

    def end_when_written(self) -> None:
        """Close the writer, then what it writes to."""
        self.writer.close(timeout_seconds=LIMIT_SECONDS)
        os.close(self.end)

    def lines(self) -> Iterator[bytes]:
        """Read until the other end is closed."""
        with os.fdopen(self.reader, "rb") as reader:
            yield from reader


def test_lines_arrive_in_their_order_and_close_waits_for_them() -> None:
    pipe = Pipe()
    for number in range(50):
        pipe.writer.write(b"%d\n" % number)
    assert pipe.writer.close(timeout_seconds=LIMIT_SECONDS)
    os.close(pipe.end)
    assert [int(line) for line in pipe.lines()] == list(range(50))


def test_a_stalled_reader_loses_only_lines_beyond_the_queue() -> None:
    """No call waits; when the reader continues, it gets a notice of the dropped lines, and no line is torn."""
    pipe = Pipe()
    before = pipe.fill()
    for _ in range(1_000):
        pipe.writer.write(LINE)
    assert pipe.dropped.total > 0
    assert not pipe.writer.close(timeout_seconds=0.0)
    ending = threading.Thread(target=pipe.end_when_written)
    ending.start()
    lines = list(pipe.lines())
    ending.join()
    lines.remove(make_notice(pipe.dropped.total, ""))
    assert lines == [LINE] * (before + 1_000 - pipe.dropped.total)


class FullDisk:
    """Takes some bytes, then none until there is room again."""

    def __init__(self, *, room_bytes: int) -> None:
        self.taken = b""
        self.room_bytes = room_bytes
        self.refused = threading.Event()

    def write(self, data: bytes) -> int:
        """Write what there is room for."""
        if not self.room_bytes:
            self.refused.set()
            raise OSError(errno.ENOSPC, "")
        part = data[: self.room_bytes]
        self.taken += part
        self.room_bytes -= len(part)
        return len(part)


def test_a_disk_that_was_full_gets_the_rest_of_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "RETRY_SECONDS", 0.001)
    disk, dropped = FullDisk(room_bytes=1_500), Dropped()
    writer = LogWriter(disk, make_notice=make_notice, on_dropped=dropped, maximum_bytes=3_000)
    for _ in range(3):
        writer.write(LINE)
    assert disk.refused.wait(LIMIT_SECONDS)
    for _ in range(3):
        writer.write(LINE)
    assert dropped.total > 0
    disk.room_bytes = 1_000_000
    assert writer.close(timeout_seconds=LIMIT_SECONDS)
    notice = make_notice(dropped.total, os.strerror(errno.ENOSPC))
    assert disk.taken.count(notice) == 1
    assert disk.taken.replace(notice, b"") == LINE * (6 - dropped.total)


def test_an_output_that_never_works_does_not_hold_the_end_up() -> None:
    dropped = Dropped()
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = LogWriter(Descriptor(descriptor), make_notice=make_notice, on_dropped=dropped)
    writer.write(LINE)
    assert writer.close(timeout_seconds=LIMIT_SECONDS)
    assert dropped.total == 1
    os.close(descriptor)


def test_a_closed_reader_is_no_error_of_the_caller() -> None:
    pipe = Pipe()
    os.close(pipe.reader)
    pipe.writer.write(LINE)
    assert pipe.writer.close(timeout_seconds=LIMIT_SECONDS)
    assert pipe.dropped.total == 1


def test_a_line_larger_than_the_queue_is_dropped() -> None:
    pipe = Pipe(maximum_bytes=100)
    pipe.writer.write(LINE)
    assert pipe.dropped.total == 1
    assert pipe.writer.close(timeout_seconds=LIMIT_SECONDS)
