"""Temporary folder of a run, which is removed at its end even if the run was killed.

The folder has a lock that all processes of the run hold. A folder whose lock is free was left by an earlier run.
"""

import asyncio
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from services.infra.atomic_file import write_atomically
from services.local.processes.errors import FolderUnusable
from services.local.processes.folder_cleaner import is_unlocked
from services.local.processes.process_identity import is_same_process, start_token

PREFIX = "plumb-run-"
CLEANER_SECONDS = 60.0
KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RecordedProcess:
    """One process of a run, with a token that identifies it beyond its pid."""

    name: str
    pid: int
    token: str

    def alive(self) -> bool:
        """Return whether this process runs."""
        return is_same_process(self.pid, self.token)


class Scratch:
    """Temporary folder of one run: short path, mode 0700, removed once all processes of the run have ended."""

    def __init__(self, *, parent: Path | None = None) -> None:
        """Create the folder. Raises FolderUnusable."""
        self._records: dict[str, RecordedProcess] = {}
        try:
            self.folder = (parent or Path(tempfile.gettempdir())) / f"{PREFIX}{secrets.token_hex(8)}"
            # The cleaner starts before the folder exists, so that a SIGKILL at any moment cannot leave it behind.
            self._cleaner = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).with_name("folder_cleaner.py")), str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
            self.folder.mkdir(mode=0o700)
            self.lock_descriptor = self._lock()
            self.record("supervisor", os.getpid())
        except OSError as error:
            raise FolderUnusable(
                f"cannot create a temporary folder: {error}. Set TMPDIR to a writable folder with 200 MB free."
            ) from error

    def _lock(self) -> int:
        """Take the shared lock; the file is renamed once locked, so that no other run sees it unlocked."""
        fresh = self.folder / "lock.new"
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        fresh.rename(self.folder / "lock")
        return descriptor

    def record(self, name: str, pid: int) -> None:
        """Record a process of the run, so that the next start can end it if this run is killed.

        It replaces a process of the same name, which has ended.
        """
        token = start_token(pid)
        if token is None:
            return
        self._records[name] = RecordedProcess(name=name, pid=pid, token=token)
        records = [asdict(record) for record in self._records.values()]
        write_atomically(self.folder / "processes.json", json.dumps(records).encode())

    async def close(self) -> None:
        """Release the folder and wait until the cleaner has removed it. Raises FolderUnusable if it could not."""
        os.close(self.lock_descriptor)
        assert self._cleaner.stdin is not None
        self._cleaner.stdin.close()
        try:
            await asyncio.to_thread(self._cleaner.wait, CLEANER_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise FolderUnusable(
                f"the temporary folder {self.folder} is still in use; it will be removed later"
            ) from error


def reap_stale_runs(*, parent: Path | None = None) -> list[str]:
    """Remove the folders of earlier runs that were killed; return a message for each."""
    reaped: list[str] = []
    for folder in sorted((parent or Path(tempfile.gettempdir())).glob(f"{PREFIX}*")):
        try:
            if folder.lstat().st_uid != os.geteuid() or not _is_stale(folder):
                continue
        except FileNotFoundError:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        reaped.append(f"removed {folder}, left by an earlier run")
    return reaped


def _is_stale(folder: Path) -> bool:
    if not (folder / "lock").exists():
        # A start creates folder and lock within milliseconds; after a minute without a lock it has failed.
        return time.time() - folder.stat().st_mtime > 60
    if is_unlocked(folder / "lock"):
        return True
    _kill_leftovers(folder)
    return is_unlocked(folder / "lock")


def _kill_leftovers(folder: Path) -> None:
    """Kill the processes of a run whose supervisor and reapers have ended; leave a run that still stops by itself."""
    try:
        records = [RecordedProcess(**entry) for entry in json.loads((folder / "processes.json").read_text())]
    except (FileNotFoundError, ValueError):
        return
    living = [record for record in records if record.alive()]
    if not living or any(record.name == "supervisor" or record.name.endswith(" reaper") for record in living):
        return
    for record in living:
        os.kill(record.pid, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while not is_unlocked(folder / "lock") and time.monotonic() < deadline:
        time.sleep(0.02)
