"""Bounded log queue with a writer thread: logging never blocks its caller and never raises."""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

# Some seconds of log under load.
MAXIMUM_QUEUED_BYTES = 4 * 1024 * 1024
# At most two files exist, the current one and the one before: some hours of log.
MAXIMUM_FILE_BYTES = 8 * 1024 * 1024
BATCH_BYTES = 64 * 1024
RETRY_SECONDS = 0.2


class Output(Protocol):
    """Destination of log lines."""

    def write(self, data: bytes) -> int:
        """Write the data or its beginning; return the number of bytes written. Raises OSError."""


class Descriptor:
    """An open file descriptor, such as standard output's."""

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, data: bytes) -> int:
        """Write as many bytes as the system accepts."""
        return os.write(self._number, data)


class BoundedFile:
    """A file of at most `maximum_bytes`; a full one is renamed to NAME.1 and replaces the one before."""

    def __init__(self, path: Path, *, maximum_bytes: int = MAXIMUM_FILE_BYTES) -> None:
        """Open the file for appending. Raises OSError."""
        self._path = path
        self._maximum_bytes = maximum_bytes
        self._file = path.open("ab", buffering=0)
        self._is_at_line_end = True

    def write(self, data: bytes) -> int:
        """Write whole lines as far as they fit; rotate first when the first line does not fit."""
        line = data[: data.find(b"\n") + 1] or data
        size = self._file.tell()
        if self._is_at_line_end and size and size + len(line) > self._maximum_bytes:
            self._rotate()
            size = 0
        # A line that is longer than the limit gets a file of its own.
        fitting = data[: data.rfind(b"\n", 0, max(0, self._maximum_bytes - size)) + 1]
        written = self._file.write(fitting or line) or 0
        self._is_at_line_end = data[:written].endswith(b"\n")
        return written

    def _rotate(self) -> None:
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        former, self._file = self._file, self._path.open("ab", buffering=0)
        former.close()


class LogWriter:
    """Writes lines to one output, in order, in a thread of its own.

    Lines wait in a queue of `maximum_bytes`; a line that does not fit is dropped, and `on_dropped` is called. A failed
    write is retried with the rest of the same line, so that no line is torn. When the output works again, it gets the
    line that `make_notice` makes of the number of dropped lines and the last error. May be called in any thread, also
    by a finalizer that interrupts another call.
    """

    def __init__(
        self,
        output: Output,
        *,
        make_notice: Callable[[int, str], bytes],
        on_dropped: Callable[[int], None],
        maximum_bytes: int = MAXIMUM_QUEUED_BYTES,
    ) -> None:
        self._output = output
        self._make_notice = make_notice
        self._on_dropped = on_dropped
        self._maximum_bytes = maximum_bytes
        # None ends the thread. SimpleQueue.put may be called in a finalizer; queue.Queue.put may not.
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._queued_bytes = 0
        self._dropped = 0
        self._error = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue a line, newline included, or drop it."""
        with self._lock:
            fits = self._queued_bytes + len(line) <= self._maximum_bytes
            if fits:
                self._queued_bytes += len(line)
        if fits:
            self._lines.put(line)
        else:
            self._drop(1)

    def end(self) -> None:
        """Let the thread end after the queued lines. May be called again."""
        if not self._closing.is_set():
            self._closing.set()
            self._lines.put(None)

    def close(self, *, timeout_seconds: float) -> bool:
        """End the thread; return whether it ended within the time limit."""
        self.end()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._take_batch()
            lost = self._write_all(batch)
            with self._lock:
                self._queued_bytes -= len(batch)
            if lost:
                self._drop(lost)
            else:
                self._report_dropped()

    def _take_batch(self) -> tuple[bytes, bool]:
        """Wait for a line; return it with the lines behind it, and whether they are the last."""
        lines: list[bytes] = []
        size_bytes, line = 0, self._lines.get()
        while line is not None:
            lines.append(line)
            size_bytes += len(line)
            if size_bytes >= BATCH_BYTES or self._lines.empty():
                break
            line = self._lines.get()
        return b"".join(lines), line is None

    def _write_all(self, lines: bytes) -> int:
        """Write all lines, with retries until `end` was called; return the number of lines that were not written."""
        rest = memoryview(lines)
        while rest:
            is_last_attempt = self._closing.is_set()
            try:
                rest = rest[self._output.write(bytes(rest)) :]
            except OSError as error:
                self._error = os.strerror(error.errno) if error.errno else str(error)
                if is_last_attempt:
                    break
                self._closing.wait(RETRY_SECONDS)
        return bytes(rest).count(b"\n")

    def _drop(self, lines: int) -> None:
        with self._lock:
            self._dropped += lines
        self._on_dropped(lines)

    def _report_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            self._write_all(self._make_notice(dropped, self._error))
