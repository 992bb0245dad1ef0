"""Stallable log: a pipe in place of a process's log file, whose reader can stall."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PIPE_BYTES = 4096


class StallableLog:
    """A pipe whose reader copies to the log file, or stalls during a with block."""

    def __init__(self, pipe: Path, file: Path) -> None:
        self.pipe = pipe
        self._file = file
        self._descriptor = -1

    @contextmanager
    def open(self) -> Iterator[None]:
        """Create the pipe and read it during a with block."""
        self.pipe.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(self.pipe, 0o600)
        # Opened for writing too: a pipe without a writer is at its end.
        self._descriptor = os.open(self.pipe, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            with self._reading():
                yield
        finally:
            os.close(self._descriptor)
            self.pipe.unlink()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Stop reading during a with block."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        try:
            yield
        finally:
            asyncio.get_running_loop().add_reader(self._descriptor, self._copy)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        asyncio.get_running_loop().add_reader(self._descriptor, self._copy)
        try:
            yield
        finally:
            asyncio.get_running_loop().remove_reader(self._descriptor)

    def _copy(self) -> None:
        with self._file.open("ab") as file:
            file.write(os.read(self._descriptor, PIPE_BYTES))
