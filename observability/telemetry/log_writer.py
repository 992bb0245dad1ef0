"""Bounded log queue with a writer thread: logging never blocks its caller and never raises."""

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

# What a process logs in some seconds under load; more than a stalled reader is worth.
MAXIMUM_QUEUED_BYTES = 4 * 1024 * 1024
# Of these there are at most two, the current and the one before: what a process logs in some hours.
MAXIMUM_FILE_BYTES = 8 * 1024 * 1024
BATCH_BYTES = 64 * 1024
RETRY_SECONDS = 0.2


class Output(Protocol):
    """Where lines end up."""

    def write(self, data: bytes) -> int:
        """Write the beginning of data or all of it; return how many bytes. Raises OSError."""


class Descriptor:
    """An open file descriptor, such as standard output's."""

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, data: bytes) -> int:
        """Write what the system takes."""
        return os.write(self._number, data)


class BoundedFile:
    """A file of at most `maximum_bytes`; one that would pass them becomes NAME.1, over the one before."""

    def __init__(self, path: Path, *, maximum_bytes: int = MAXIMUM_FILE_BYTES) -> None:
        """Open the file to go on with it. Raises OSError."""
        self._path = path
        self._maximum_bytes = maximum_bytes
        self._file = path.open("ab", buffering=0)
        self._is_at_line_end = True

    def write(self, data: bytes) -> int:
        """Write at most to the end of a line, after a rotation where the line would not fit."""
        line = data[: data.find(b"\n") + 1] or data
        size = self._file.tell()
        if self._is_at_line_end and size and size + len(line) > self._maximum_bytes:
            self._rotate()
            size = 0
        # As many whole lines as fit; one that is longer than a file has a file of its own.
        fitting = data[: data.rfind(b"\n", 0, max(0, self._maximum_bytes - size)) + 1]
        written = self._file.write(fitting or line) or 0
        self._is_at_line_end = data[:written].endswith(b"\n")
        return written

    def _rotate(self) -> None:
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        former, self._file = self._file, self._path.open("ab", buffering=0)
        former.close()


class LogWriter:
    """Writes lines to one output, in their order, in a thread of its own.

    Lines wait in a queue of `maximum_bytes`; one that finds it full is dropped and counted by `on_dropped`. An output
    that fails is tried again with the rest of the same line, so none is torn; when it works again it gets the line that
    `make_notice` makes of the number of dropped lines and the last error. May be called in any thread, also by a
    finalizer in the middle of another call.
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
        # None ends the thread. This queue may be put to from a finalizer, which queue.Queue may not.
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
        """Let the thread end when it has written what waits. May be called again."""
        if not self._closing.is_set():
            self._closing.set()
            self._lines.put(None)

    def close(self, *, timeout_seconds: float) -> bool:
        """End, and wait for that within the time limit; return whether it came."""
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
                self._say_dropped()

    def _take_batch(self) -> tuple[bytes, bool]:
        """Wait for a line; return it with those behind it, and whether they are the last."""
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
        """Write until the output has taken all; return how many lines were given up, at the end of all."""
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

    def _say_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            self._write_all(self._make_notice(dropped, self._error))
