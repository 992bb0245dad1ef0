"""CPU use of a run: CPU used, CPU stolen by the hypervisor, and run-queue wait (ready, but without a core).

Run-queue wait and steal come from Linux's /proc; on other systems they are None.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STEAL_FIELD = 8
_NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class HostUse:
    """CPU use over a run. A wait is the time that a task was ready to run and had no core.

    cpu: the core that the generator was pinned to; None without pinning.
    generator_cpu_seconds: CPU time of the sending thread.
    generator_wait_seconds: run-queue wait of the sending thread.
    service_wait_seconds: run-queue wait of each service's main thread.
    steal_seconds: CPU time that the hypervisor took, over all cores.
    steal_seconds_generator_cpu: the same on the generator's core.
    load_average_1_minute: load average at the end.
    """

    cpu: int | None
    generator_cpu_seconds: float
    generator_wait_seconds: float | None
    service_wait_seconds: dict[str, float]
    steal_seconds: float | None
    steal_seconds_generator_cpu: float | None
    load_average_1_minute: float


@dataclass(frozen=True, slots=True)
class HostReading:
    """Counters of the machine at one moment, read on the thread that sends."""

    thread_cpu_seconds: float
    thread_wait_seconds: float | None
    service_wait_seconds: dict[str, float]
    steal_ticks: dict[str, int]


def read_host(service_pids: Mapping[str, int]) -> HostReading:
    """Read the counters of this thread, of the services, and of the machine."""
    waits = {name: _wait_seconds(Path(f"/proc/{pid}/schedstat")) for name, pid in service_pids.items()}
    return HostReading(
        thread_cpu_seconds=time.thread_time(),
        thread_wait_seconds=_wait_seconds(Path("/proc/thread-self/schedstat")),
        service_wait_seconds={name: wait for name, wait in waits.items() if wait is not None},
        steal_ticks=_steal_ticks(),
    )


def host_use(before: HostReading, after: HostReading, *, cpu: int | None) -> HostUse:
    """Return the use between two readings; `cpu` is the core that the generator was pinned to."""
    services = after.service_wait_seconds.keys() & before.service_wait_seconds.keys()
    return HostUse(
        cpu=cpu,
        generator_cpu_seconds=after.thread_cpu_seconds - before.thread_cpu_seconds,
        generator_wait_seconds=_difference(before.thread_wait_seconds, after.thread_wait_seconds),
        service_wait_seconds={
            name: after.service_wait_seconds[name] - before.service_wait_seconds[name] for name in sorted(services)
        },
        steal_seconds=_steal_seconds(before, after, "cpu"),
        steal_seconds_generator_cpu=None if cpu is None else _steal_seconds(before, after, f"cpu{cpu}"),
        load_average_1_minute=os.getloadavg()[0],
    )


def usable_cpus() -> frozenset[int]:
    """Return the cores that this process may pin a thread to; empty where threads cannot be pinned."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def default_cpu() -> int | None:
    """Return the last core that this process may use; None if there are not at least two."""
    usable = usable_cpus()
    return max(usable) if len(usable) > 1 else None


@contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """Pin the calling thread to one core (None: do nothing), and restore its affinity afterwards."""
    if cpu is None:
        yield
        return
    former = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, former)


def _wait_seconds(schedstat: Path) -> float | None:
    """Return a task's run-queue wait, the second field of its schedstat in nanoseconds; None if it cannot be read."""
    try:
        return int(schedstat.read_text().split()[1]) / _NANOSECONDS
    except (OSError, IndexError, ValueError):
        return None


def _steal_ticks() -> dict[str, int]:
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return {}
    fields = [line.split() for line in lines if line.startswith("cpu")]
    return {each[0]: int(each[_STEAL_FIELD]) for each in fields if len(each) > _STEAL_FIELD}


def _steal_seconds(before: HostReading, after: HostReading, row: str) -> float | None:
    ticks = _difference(before.steal_ticks.get(row), after.steal_ticks.get(row))
    return None if ticks is None else ticks / os.sysconf("SC_CLK_TCK")


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
