"""Search for processes and folders that a run left behind.

Every process of a run inherits the environment of whoever started it; a variable with a value of its own marks them.
"""

import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.patience import PATIENCE_SECONDS

VARIABLE = "RUN_MARKER"


@dataclass(frozen=True, slots=True)
class Marked:
    """Processes with one marker, and a folder for temporary files of their own."""

    temporary: Path
    marker: str = field(default_factory=lambda: uuid.uuid4().hex)

    def environment(self) -> dict[str, str]:
        """Return the environment to start a process with, so that it and all its children can be found."""
        return {**os.environ, VARIABLE: self.marker, "TMPDIR": str(self.temporary)}

    def processes(self) -> list[psutil.Process]:
        """Return the running processes that have the marker."""
        return [process for process in psutil.process_iter() if self._carries(process)]

    def _carries(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(VARIABLE) == self.marker
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def leftovers(self) -> list[str]:
        """Return what is left after everything had time to end: command lines and paths."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and (self.processes() or any(self.temporary.iterdir())):
            time.sleep(0.05)
        return [" ".join(process.cmdline()) for process in self.processes()] + [
            str(path) for path in self.temporary.iterdir()
        ]
