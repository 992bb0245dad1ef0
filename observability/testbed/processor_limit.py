"""Processor limit of a program, as a container has one: a Linux control group of version 1 or 2.

with limited(server.process.pid, 0.1, name="postgres-1") as limit:
    ... the server and its children have a tenth of a processor ...
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from observability.testbed.errors import TestbedError

GROUPS = Path("/sys/fs/cgroup")
# Short, so that a program is stopped often and briefly. The kernel allows no quota below a millisecond.
PERIOD_SECONDS = 0.01
LEAST_QUOTA_SECONDS = 0.001
# The highest, so that the limit binds, and not what else runs on the machine.
_MOST_SHARES, _MOST_WEIGHT = 262_144, 10_000
_MICROSECONDS, _NANOSECONDS = 1e6, 1e9
_PREFIX = "plumb-"
_REMOVALS = 100


@dataclass(frozen=True, slots=True)
class ProcessorLimit:
    """A limit that holds: the folder of its control group, the processors, and the period of its quota."""

    folder: Path
    processors: float
    period_seconds: float

    def metrics(self, container: str, cpu_seconds: float) -> str:
        """Return a page of metrics of this group under the names of cAdvisor; `cpu_seconds` is its use so far."""
        text = (self.folder / "cpu.stat").read_text(encoding="ascii")
        stat = {name: int(value) for name, value in map(str.split, text.splitlines())}
        is_version_1 = "throttled_time" in stat
        stopped = stat["throttled_time"] / _NANOSECONDS if is_version_1 else stat["throttled_usec"] / _MICROSECONDS
        values = {
            "container_cpu_usage_seconds_total": cpu_seconds,
            "container_cpu_cfs_periods_total": stat["nr_periods"],
            "container_cpu_cfs_throttled_periods_total": stat["nr_throttled"],
            "container_cpu_cfs_throttled_seconds_total": stopped,
            "container_spec_cpu_quota": round(self.processors * self.period_seconds * _MICROSECONDS),
            "container_spec_cpu_period": round(self.period_seconds * _MICROSECONDS),
        }
        return "".join(
            f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}\n"
            f'{name}{{container="{container}"}} {value}\n'
            for name, value in values.items()
        )


@contextmanager
def limited(
    pid: int, processors: float, *, name: str, period_seconds: float = PERIOD_SECONDS, groups: Path = GROUPS
) -> Iterator[ProcessorLimit]:
    """Limit a process, its children and later ones to so many processors during the `with` block.

    `groups` is where control groups are mounted. Raises TestbedError where no control group can be made.
    """
    limit, home = _make(processors, name=name, period_seconds=period_seconds, groups=groups)
    try:
        # The program itself comes first, so that it has no more children outside.
        _put(limit.folder, pid)
        for child in psutil.Process(pid).children(recursive=True):
            _put(limit.folder, child.pid)
        yield limit
    finally:
        _remove(limit.folder, home)


def check_available(groups: Path = GROUPS) -> None:
    """Raise TestbedError if no control group can be made."""
    limit, home = _make(1.0, name="check", period_seconds=PERIOD_SECONDS, groups=groups)
    _remove(limit.folder, home)


def _make(processors: float, *, name: str, period_seconds: float, groups: Path) -> tuple[ProcessorLimit, Path]:
    """Make a control group with a limit; return it, and the group that its processes return to. Raises TestbedError."""
    period_seconds = max(period_seconds, LEAST_QUOTA_SECONDS / processors)
    try:
        parent, home = _find_groups(groups)
        _remove_abandoned(parent)
        folder = parent / f"{_PREFIX}{os.getpid()}-{name}"
        folder.mkdir()
        try:
            write_limit(folder, processors, period_seconds, is_version_1=parent != groups)
        except OSError:
            folder.rmdir()
            raise
    except OSError as error:
        raise TestbedError(
            f"a processor limit needs a control group, and none can be made ({error}): run this as root, where control "
            "groups can be written"
        ) from error
    return ProcessorLimit(folder, processors, period_seconds), home


def write_limit(folder: Path, processors: float, period_seconds: float, *, is_version_1: bool) -> None:
    """Write a limit to the folder of a control group. Raises OSError."""
    period = round(period_seconds * _MICROSECONDS)
    quota = round(processors * period)
    if is_version_1:
        values = {"cpu.cfs_period_us": f"{period}", "cpu.cfs_quota_us": f"{quota}", "cpu.shares": f"{_MOST_SHARES}"}
    else:
        values = {"cpu.max": f"{quota} {period}", "cpu.weight": f"{_MOST_WEIGHT}"}
    for name, value in values.items():
        (folder / name).write_text(value, encoding="ascii")


def _find_groups(groups: Path) -> tuple[Path, Path]:
    """Return the group in which to make ours, and the one that processes return to: our own. Raises OSError."""
    if (groups / "cpu").is_dir():
        return groups / "cpu", _own(groups / "cpu", "cpu")
    control = groups / "cgroup.subtree_control"
    if "cpu" not in control.read_text(encoding="ascii").split():
        control.write_text("+cpu", encoding="ascii")
    return groups, _own(groups, "")


def _own(mount: Path, controller: str) -> Path:
    """Return our own group of a controller; the mounted one if ours is outside of it."""
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") and (mount / path.lstrip("/")).is_dir():
            return mount / path.lstrip("/")
    return mount


def _put(folder: Path, pid: int) -> None:
    """Move a process to a group, unless it has ended."""
    with suppress(ProcessLookupError):
        (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")


def _remove(folder: Path, home: Path) -> None:
    """Move all processes of a group to another one, also those that they have forked meanwhile, and remove it."""
    for _ in range(_REMOVALS):
        for member in (folder / "cgroup.procs").read_text(encoding="ascii").split():
            _put(home, int(member))
        with suppress(OSError):  # busy: a process was forked in it meanwhile
            folder.rmdir()
            return
    raise TestbedError(f"the control group {folder} stays: processes in it do not stop forking")


def _remove_abandoned(parent: Path) -> None:
    """Remove the empty groups of programs that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            with suppress(OSError):  # busy: its processes still run
                folder.rmdir()
