"""Metrics of the process: event-loop lag, run-queue wait, garbage collections, CPU and memory."""

import asyncio
import gc
import os
import platform
import statistics
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from observability.telemetry.metrics import Metrics

LOOP_SAMPLE_SECONDS = 0.1
# Half a second of samples: one pause, as of a garbage collection, is no overload.
RECENT_SAMPLES = 5


class LoopLag:
    """Lag of the event loop: the median of the last samples, in seconds.

    It starts with samples of 0, so that the work of a process's start-up does not count.
    """

    def __init__(self) -> None:
        self._samples = deque([0.0] * RECENT_SAMPLES, maxlen=RECENT_SAMPLES)
        self._median_seconds = 0.0

    def note(self, seconds: float) -> None:
        """Add a sample."""
        self._samples.append(seconds)
        self._median_seconds = statistics.median(self._samples)

    def seconds(self) -> float:
        """Return the median."""
        return self._median_seconds


class GcPauses:
    """Times garbage collections. A collection may interrupt any code, so this takes no lock."""

    def __init__(self) -> None:
        self._noted_seconds: deque[float] = deque(maxlen=1_000)
        self._started = 0.0

    def __call__(self, phase: str, _info: dict[str, int]) -> None:
        """Store the start of a collection, then its duration."""
        if phase == "start":
            self._started = perf_counter()
        else:
            self._noted_seconds.append(perf_counter() - self._started)

    def drain(self) -> Iterator[float]:
        """Yield and remove the stored durations in seconds, oldest first."""
        while self._noted_seconds:
            yield self._noted_seconds.popleft()


class RunQueueWait:
    """Reads how long the calling thread was runnable and waited for a CPU; 0 where the kernel does not count it.

    The file stays open, so that a process without a free file descriptor is still observed.
    """

    SOURCE = Path("/proc/thread-self/schedstat")

    def __init__(self) -> None:
        self._file = self.SOURCE.open("rb", buffering=0) if self.SOURCE.exists() else None
        self._seen_seconds = self._read()

    def more_seconds(self) -> float:
        """Return the seconds since the last call."""
        before, self._seen_seconds = self._seen_seconds, self._read()
        return max(0.0, self._seen_seconds - before)

    def _read(self) -> float:
        if self._file is None:
            return 0.0
        # Nanoseconds on a CPU, nanoseconds waiting for one, number of time slices.
        return int(os.pread(self._file.fileno(), 128, 0).split()[1]) / 1e9


async def watch_process(metrics: Metrics, loop_lag: LoopLag) -> None:
    """Record event-loop lag, run-queue wait and garbage collections until cancelled."""
    pauses, run_queue = GcPauses(), RunQueueWait()
    gc.callbacks.append(pauses)
    try:
        while True:
            due = perf_counter() + LOOP_SAMPLE_SECONDS
            await asyncio.sleep(LOOP_SAMPLE_SECONDS)
            late_seconds = max(0.0, perf_counter() - due)
            loop_lag.note(late_seconds)
            metrics.event_loop_lag.observe(late_seconds)
            metrics.run_queue_wait.add(run_queue.more_seconds())
            for seconds in pauses.drain():
                metrics.gc_pause.observe(seconds)
    finally:
        gc.callbacks.remove(pauses)


def add_process_collectors(registry: CollectorRegistry) -> None:
    """Add `process_*` (CPU, memory, file descriptors) and `python_info` to the registry."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry, platform=platform)
