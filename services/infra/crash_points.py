"""Crash points: named points around every durable step at which a test can kill the process.

A campaign starts a process with PLUMB_CRASH_POINT=NAME. At its first passage, or the one PLUMB_CRASH_PASSAGE names, the
process appends the name to the file PLUMB_CRASH_LOG and kills itself with SIGKILL, or stops itself with
PLUMB_CRASH_SIGNAL=SIGSTOP. PLUMB_CRASH_CENSUS=FILE appends the name of each point that is passed, once. Without the
variables a point costs two comparisons.
"""

import os
import signal
from pathlib import Path


class CrashPoints:
    """The armed crash point of this process, if any, and the number of passages left until it fires."""

    def __init__(self) -> None:
        self._armed = ""
        self._passages_left = 0
        self._log = Path(os.devnull)
        self._signal = signal.SIGKILL
        self._census: Path | None = None
        self._counted: set[str] = set()

    def arm(self, environment: "os._Environ[str] | dict[str, str]") -> None:
        """Read the PLUMB_CRASH_* variables; without them no point ever fires."""
        self._armed = environment.get("PLUMB_CRASH_POINT", "")
        self._passages_left = int(environment.get("PLUMB_CRASH_PASSAGE", "1"))
        self._log = Path(environment.get("PLUMB_CRASH_LOG", os.devnull))
        self._signal = signal.Signals[environment.get("PLUMB_CRASH_SIGNAL", "SIGKILL")]
        census = environment.get("PLUMB_CRASH_CENSUS")
        self._census = Path(census) if census else None

    def reached(self, name: str) -> None:
        """Pass the point of this name; if it is the armed one, kill or stop the process here."""
        if self._census is not None:
            self._count(name, self._census)
        if name != self._armed:
            return
        self._passages_left -= 1
        if self._passages_left <= 0:
            self._armed = ""  # a process that was stopped with SIGSTOP continues later
            _append(self._log, name)
            os.kill(os.getpid(), self._signal)

    def _count(self, name: str, census: Path) -> None:
        if name not in self._counted:
            self._counted.add(name)
            _append(census, name)


def _append(path: Path, name: str) -> None:
    with path.open("a") as file:
        file.write(f"{name}\n")


# One per process, since it kills the process; inert until a runnable arms it.
crash_points = CrashPoints()
