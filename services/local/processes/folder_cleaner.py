"""Who removes a run's temporary folder when the supervisor was killed?

The supervisor runs `python -I -S janitor.py FOLDER` before it makes the folder and keeps the write end of the
janitor's standard input. When that closes, at the end of the run or because the supervisor is gone, the janitor waits
until nobody holds the folder's lock (every process of the run inherits it) and removes the folder. Standard
library only.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import time
from pathlib import Path

WAIT_SECONDS = 90.0


def main() -> int:
    """Waits for the end of standard input and for the lock, then removes the folder; 1 when it stays locked."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    while os.read(0, 1024):
        pass
    deadline = time.monotonic() + WAIT_SECONDS
    while folder.exists():
        if nobody_holds(folder / "lock"):
            shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline:
            return 1
        time.sleep(0.02)
    return 0


def nobody_holds(lock: Path) -> bool:
    """True when no living process has `lock` open with a lock on it, or when there is none."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


if __name__ == "__main__":
    sys.exit(main())
