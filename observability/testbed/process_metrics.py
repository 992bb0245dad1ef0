"""Process metrics: CPU time and run-queue wait of processes, in seconds."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

_NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Use:
    """CPU time and run-queue wait of a process so far; the wait is None where the kernel does not count it."""

    cpu_seconds: float
    wait_seconds: float | None


class Process(Protocol):
    """A process, or a program of several processes."""

    def use(self) -> Use:
        """Return its counters. Raises psutil.NoSuchProcess."""


def open_processes(pids: Mapping[str, int], postgres_pids: Mapping[str, int]) -> Mapping[str, Process]:
    """Return programs and our own PostgreSQL servers by name. Raises psutil.NoSuchProcess."""
    processes: dict[str, Process] = {name: ProgramUsage(pid) for name, pid in pids.items()}
    return processes | {name: PostgresServer(pid) for name, pid in postgres_pids.items()}


class ProgramUsage:
    """One process: CPU time of all threads, run-queue wait of the main thread, which runs the event loop."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def use(self) -> Use:
        """Return its counters. Raises psutil.NoSuchProcess."""
        times = self._process.cpu_times()
        return Use(times.user + times.system, _wait_seconds(self._process.pid))


class PostgresServer:
    """A PostgreSQL server with a child for each session; the use of ended children still counts."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._cpu_seconds = 0.0
        self._wait_seconds: dict[int, float] = {}

    def use(self) -> Use:
        """Return the sum of all counters. Raises psutil.NoSuchProcess if the server itself has ended."""
        times = self._process.cpu_times()
        cpu_seconds = times.user + times.system + times.children_user + times.children_system
        for child in self._process.children():
            try:
                child_times = child.cpu_times()
            except psutil.NoSuchProcess:
                # It has just ended; the server's own times include it from the next reading on.
                continue
            cpu_seconds += child_times.user + child_times.system
            self._note_wait(child.pid)
        self._note_wait(self._process.pid)
        self._cpu_seconds = max(self._cpu_seconds, cpu_seconds)
        return Use(self._cpu_seconds, sum(self._wait_seconds.values()) if self._wait_seconds else None)

    def _note_wait(self, pid: int) -> None:
        """Store the last wait of each process, since the kernel forgets that of an ended one."""
        seconds = _wait_seconds(pid)
        if seconds is not None:
            self._wait_seconds[pid] = seconds


def pin(pids: Iterable[int], cpus: frozenset[int]) -> None:
    """Pin these processes, their children, and all their threads to these cores. Raises psutil.NoSuchProcess.

    Later children inherit it. Starting on all cores and pinning afterwards takes half the time.
    """
    for pid in pids:
        process = psutil.Process(pid)
        _pin_one(process, cpus)
        for child in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                _pin_one(child, cpus)


def _pin_one(process: psutil.Process, cpus: frozenset[int]) -> None:
    for thread in process.threads():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(thread.id, cpus)


def _wait_seconds(pid: int) -> float | None:
    """Return the main thread's time on a run queue; None if the thread or the file does not exist."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / _NANOSECONDS
    except OSError:
        return None
