"""Is the process itself the bottleneck? Event-loop lag, garbage-collection pauses, CPU and memory."""

import asyncio
import gc
import platform
from collections import deque
from collections.abc import Iterator
from time import perf_counter

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from observability.telemetry.metrics import Metrics

LOOP_SAMPLE_SECONDS = 0.1


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


async def watch_process(metrics: Metrics) -> None:
    """Record, until cancelled, how late the loop wakes this task (all else in the loop is as late), and GC pauses."""
    pauses = GcPauses()
    gc.callbacks.append(pauses)
    try:
        while True:
            due = perf_counter() + LOOP_SAMPLE_SECONDS
            await asyncio.sleep(LOOP_SAMPLE_SECONDS)
            metrics.event_loop_lag.observe(max(0.0, perf_counter() - due))
            for seconds in pauses.drain():
                metrics.gc_pause.observe(seconds)
    finally:
        gc.callbacks.remove(pauses)


def add_process_collectors(registry: CollectorRegistry) -> None:
    """Add `process_*` (CPU, memory, file descriptors) and `python_info` to the registry."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry, platform=platform)
