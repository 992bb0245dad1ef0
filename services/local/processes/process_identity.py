"""Is the process with this number still the one that was recorded, and not a later one with the same number?"""

from pathlib import Path

import psutil


def start_token(pid: int) -> str | None:
    """A text that tells this process from every later one with the same number; None when no such process lives."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return _linux_token(pid) or f"{process.create_time():.0f}"
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def is_same_process(pid: int, token: str) -> bool:
    """True when `pid` lives and is the process that `token` was taken from."""
    return start_token(pid) == token


def _linux_token(pid: int) -> str | None:
    """Boot and start time in clock ticks since boot, which no change of the wall clock alters; None elsewhere."""
    try:
        statistics = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends between the opening and the reading
        return None
    # The process name in parentheses may hold spaces; field 22, the start time, is the 20th after it.
    return f"{boot}:{statistics.rpartition(')')[2].split()[19]}"
