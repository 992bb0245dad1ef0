"""Program that removes the temporary folder of a run after its end, even if the supervisor was killed.

The supervisor runs `python -I -S folder_cleaner.py FOLDER` before it creates the folder and keeps the write end of the
program's standard input. When that closes, at the end of the run or of the supervisor, the program waits until no
process holds the folder's lock (all processes of the run inherit it) and removes the folder. Standard library only.
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
    """Wait for the end of standard input and for the lock, then remove the folder; return 1 if it stays locked."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    while os.read(0, 1024):
        pass
    deadline = time.monotonic() + WAIT_SECONDS
    while folder.exists():
        if is_unlocked(folder / "lock"):
            shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline:
            return 1
        time.sleep(0.02)
    return 0


def is_unlocked(lock: Path) -> bool:
    """Return whether no process holds a lock on the file, or the file does not exist."""
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
