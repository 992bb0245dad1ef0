"""Identity of a process beyond its pid, which the system reuses."""

from pathlib import Path

import psutil


def start_token(pid: int) -> str | None:
    """Return a text that differs for each process with this pid; None if no such process runs."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return _linux_token(pid) or f"{process.create_time():.0f}"
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def is_same_process(pid: int, token: str) -> bool:
    """Return whether the process with this pid runs and is the one of the token."""
    return start_token(pid) == token


def _linux_token(pid: int) -> str | None:
    """Return boot id and start time in ticks since boot, independent of the wall clock; None outside of Linux."""
    try:
        statistics = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends between open and read
        return None
    # The process name in parentheses may hold spaces; field 22, the start time, is the 20th after it.
    return f"{boot}:{statistics.rpartition(')')[2].split()[19]}"
