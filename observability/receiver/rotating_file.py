"""Rotating file of lines: one current file and a limited number of rotated ones."""

import contextlib
import os
from pathlib import Path

_NAME = "traces"
_DIGITS = 6


class RotatingFile:
    """Appends whole lines to DIRECTORY/traces.jsonl; for one thread at a time.

    A file that has reached `maximum_file_bytes` is renamed to traces.000001.jsonl, traces.000002.jsonl and so on. The
    oldest ones are removed, so that at most `maximum_files` remain, the current one included.
    """

    def __init__(self, directory: Path, *, maximum_file_bytes: int, maximum_files: int) -> None:
        """Create the folder if needed, and open the current file for appending. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{_NAME}.jsonl"
        self.removed_files = 0
        self._directory = directory
        self._maximum_file_bytes = maximum_file_bytes
        self._maximum_files = maximum_files
        self._open()

    def append(self, line: bytes) -> None:
        """Write one line, newline included, to the operating system. Raises OSError, and then has written nothing."""
        if self._size_bytes and self._size_bytes + len(line) > self._maximum_file_bytes:
            self._rotate()
        try:
            self._write(line)
        except OSError:
            # A full disk may have stored the beginning of the line; the next line must not continue it.
            os.ftruncate(self._descriptor, self._size_bytes)
            raise
        self._size_bytes += len(line)

    def close(self) -> None:
        """Sync the file to the disk and close it."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._size_bytes = os.fstat(self._descriptor).st_size

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _rotate(self) -> None:
        rotated = self._rotated()
        number = int(rotated[-1].suffixes[0][1:]) + 1 if rotated else 1
        # The file is missing when a person removed it, or when the last rotation failed half-way.
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(self._directory / f"{_NAME}.{number:0{_DIGITS}}.jsonl")
        former = self._descriptor
        self._open()
        os.close(former)
        rotated = self._rotated()
        for oldest in rotated[: len(rotated) - (self._maximum_files - 1)]:
            oldest.unlink(missing_ok=True)
            self.removed_files += 1

    def _rotated(self) -> list[Path]:
        """Return the rotated files, oldest first."""
        return sorted(self._directory.glob(f"{_NAME}.{'[0-9]' * _DIGITS}.jsonl"))
