"""Scratch folder of a run, removed at its end, also after a run that was cut off.

A run's temporary folder has a lock that every process of the run holds. A folder whose lock nobody holds is left over.
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

from services.local.processes.errors import FolderUnusable
from services.local.processes.folder_cleaner import nobody_holds
from services.local.processes.process_identity import is_same_process, start_token

PREFIX = "plumb-run-"
JANITOR_SECONDS = 60.0
KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RecordedProcess:
    """One process of a run, with the token that proves it is still the same."""

    name: str
    pid: int
    token: str

    def alive(self) -> bool:
        """True while this very process lives."""
        return is_same_process(self.pid, self.token)


class Scratch:
    """The temporary folder of one run: short path, mode 0700, gone when the run and all its processes are."""

    def __init__(self, *, parent: Path | None = None) -> None:
        """Makes the folder; raises FolderUnusable."""
        self._records: list[dict[str, object]] = []
        try:
            self.folder = (parent or Path(tempfile.gettempdir())) / f"{PREFIX}{secrets.token_hex(8)}"
            # The janitor runs before the folder is there: no moment remains in which a SIGKILL would leave it behind.
            self._janitor = subprocess.Popen(
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
                f"cannot make a temporary folder: {error}. Set TMPDIR to a folder that you may write, with 200 MB free."
            ) from error

    def _lock(self) -> int:
        """Takes the shared lock; its file gets the name only once locked, so that nobody takes it for left over."""
        fresh = self.folder / "lock.new"
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        fresh.rename(self.folder / "lock")
        return descriptor

    def record(self, name: str, pid: int) -> None:
        """Writes down a process of the run, for the next start to find should this run be cut off."""
        token = start_token(pid)
        if token is None:
            return
        self._records.append(asdict(RecordedProcess(name=name, pid=pid, token=token)))
        fresh = self.folder / "processes.new"
        fresh.write_text(json.dumps(self._records))
        fresh.replace(self.folder / "processes.json")

    async def close(self) -> None:
        """Gives up the folder and waits until the janitor removed it; raises FolderUnusable when it could not."""
        os.close(self.lock_descriptor)
        assert self._janitor.stdin is not None
        self._janitor.stdin.close()
        try:
            await asyncio.to_thread(self._janitor.wait, JANITOR_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise FolderUnusable(
                f"the temporary folder {self.folder} is still in use; it will be removed later"
            ) from error


def reap_stale_runs(*, parent: Path | None = None) -> list[str]:
    """Removes what earlier runs left when the machine or their supervisor was cut off; says what it removed."""
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
        # A start makes folder and lock within milliseconds; one without a lock for a minute never got further.
        return time.time() - folder.stat().st_mtime > 60
    if nobody_holds(folder / "lock"):
        return True
    _kill_leftovers(folder)
    return nobody_holds(folder / "lock")


def _kill_leftovers(folder: Path) -> None:
    """Kills the processes of a run whose supervisor and guards are gone; one that still ends by itself is left."""
    try:
        records = [RecordedProcess(**entry) for entry in json.loads((folder / "processes.json").read_text())]
    except (FileNotFoundError, ValueError):
        return
    living = [record for record in records if record.alive()]
    if not living or any(record.name == "supervisor" or record.name.endswith(" guard") for record in living):
        return
    for record in living:
        os.kill(record.pid, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while not nobody_holds(folder / "lock") and time.monotonic() < deadline:
        time.sleep(0.02)
