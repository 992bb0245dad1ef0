"""A foreign system that runs: its address, its processes, and how programs of it are started and ended."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.strangers.load import Send

STOP_SECONDS = 20.0
CPU_GROUPS = Path("/sys/fs/cgroup/cpu")
PERIOD_MICROSECONDS = 100_000
MOST_SHARES = 262_144


@dataclass(frozen=True, slots=True)
class System:
    """A running system.

    send: sends one request and says whether its answer is right.
    pids: its processes by the service that each runs.
    metrics: addresses of metrics pages by target.
    cpu_group: control group of the service that has a limit of processor time, by the service; empty without one.
    """

    send: Send
    pids: Mapping[str, int]
    metrics: Mapping[str, str] = field(default_factory=dict)
    cpu_group: Mapping[str, Path] = field(default_factory=dict)


@contextmanager
def program(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str],
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, with its children, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(STOP_SECONDS)


@contextmanager
def limited_cpu(pid: int, processors: float) -> Iterator[Path]:
    """Let a process and its children use so many processors, and yield their control group.

    Skips without the right to make one.
    """
    group = CPU_GROUPS / f"stranger-{pid}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made for a limit of processor time: {error}")
    try:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS), encoding="ascii")
        (group / "cpu.cfs_quota_us").write_text(str(int(processors * PERIOD_MICROSECONDS)), encoding="ascii")
        # So that the limit binds, and not what else runs on the machine.
        (group / "cpu.shares").write_text(str(MOST_SHARES), encoding="ascii")
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            (group / "cgroup.procs").write_text(str(process.pid), encoding="ascii")
        yield group
    finally:
        for member in (group / "cgroup.procs").read_text(encoding="ascii").split():
            with contextlib.suppress(ProcessLookupError):
                (CPU_GROUPS / "cgroup.procs").write_text(member, encoding="ascii")
        group.rmdir()


def container_metrics(service: str, group: Path, cpu_seconds: float) -> str:
    """Return the processor metrics of a control group as cAdvisor names them."""
    quota = (group / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
    stopped = dict(line.split() for line in (group / "cpu.stat").read_text(encoding="ascii").splitlines())
    values = {
        "container_cpu_usage_seconds_total": cpu_seconds,
        "container_cpu_cfs_periods_total": stopped["nr_periods"],
        "container_cpu_cfs_throttled_periods_total": stopped["nr_throttled"],
        "container_cpu_cfs_throttled_seconds_total": int(stopped["throttled_time"]) / 1e9,
        "container_spec_cpu_quota": quota,
        "container_spec_cpu_period": PERIOD_MICROSECONDS,
    }
    return "".join(
        f'# TYPE {name} {"counter" if name.endswith("_total") else "gauge"}\n{name}{{container="{service}"}} {value}\n'
        for name, value in values.items()
    )
