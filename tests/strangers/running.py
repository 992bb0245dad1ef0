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


@dataclass(frozen=True, slots=True)
class System:
    """A running system.

    send: sends one request and says whether its answer is right.
    pids: its processes by the service that each runs.
    metrics: addresses of metrics pages by target.
    """

    send: Send
    pids: Mapping[str, int]
    metrics: Mapping[str, str] = field(default_factory=dict)


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
def limited_cpu(pid: int, processors: float) -> Iterator[None]:
    """Let a process and its children use so many processors; skips without the right to make a control group."""
    group = CPU_GROUPS / f"stranger-{pid}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made for a limit of processor time: {error}")
    try:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS), encoding="ascii")
        (group / "cpu.cfs_quota_us").write_text(str(int(processors * PERIOD_MICROSECONDS)), encoding="ascii")
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            (group / "cgroup.procs").write_text(str(process.pid), encoding="ascii")
        yield
    finally:
        for member in (group / "cgroup.procs").read_text(encoding="ascii").split():
            with contextlib.suppress(ProcessLookupError):
                (CPU_GROUPS / "cgroup.procs").write_text(member, encoding="ascii")
        group.rmdir()
