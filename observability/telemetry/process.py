"""Metrics of the process: event-loop lag, waits for a processor, garbage collections, CPU, memory."""

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
# Half a second of them: one pause, as of a garbage collection, is not yet a loop that does not keep up.
RECENT_SAMPLES = 5


class LoopLag:
    """How late the event loop wakes its sleepers, as a rule: the median of the last samples, in seconds.

    Who has just begun was never late: what holds a process up at its start is over when it serves.
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
    """Times garbage collections. The interpreter calls it in the middle of anything, so it takes no lock."""

    def __init__(self) -> None:
        self._noted_seconds: deque[float] = deque(maxlen=1_000)
        self._started = 0.0

    def __call__(self, phase: str, _info: dict[str, int]) -> None:
        """Note the start, then the duration."""
        if phase == "start":
            self._started = perf_counter()
        else:
            self._noted_seconds.append(perf_counter() - self._started)

    def drain(self) -> Iterator[float]:
        """Yield the noted durations in seconds, oldest first, each once."""
        while self._noted_seconds:
            yield self._noted_seconds.popleft()


class RunQueueWait:
    """Reads how long the calling thread could run and had no processor; 0 where the kernel does not count it.

    The file stays open: a process that has no descriptor left is one to be watched.
    """

    SOURCE = Path("/proc/thread-self/schedstat")

    def __init__(self) -> None:
        self._file = self.SOURCE.open("rb", buffering=0) if self.SOURCE.exists() else None
        self._seen_seconds = self._read()

    def more_seconds(self) -> float:
        """Return how much came since the last call."""
        before, self._seen_seconds = self._seen_seconds, self._read()
        return max(0.0, self._seen_seconds - before)

    def _read(self) -> float:
        if self._file is None:
            return 0.0
        # Nanoseconds on a processor, nanoseconds waiting for one, number of turns.
        return int(os.pread(self._file.fileno(), 128, 0).split()[1]) / 1e9


async def watch_process(metrics: Metrics, loop_lag: LoopLag) -> None:
    """Record, until cancelled, how late the loop wakes this task, as all else in it, and what else held it up."""
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
