"""Reaper of one child process: stops the child when its supervisor ends, even by SIGKILL.

The supervisor runs `python -I -S child_reaper.py SPEC` for each child; fork_server.py reaps its own children. The
reaper holds one end of a socket whose other end only the supervisor has. When that end closes (the supervisor ended,
even by SIGKILL), when it says `stop`, or on SIGTERM, the reaper stops the child, within bounds, and ends with the
child's status. Standard library only: it starts in a few hundredths of a second, and a broken environment of the child
does not break it. SPEC is JSON and holds no secret:

    {"command": [...], "control_fd": 5, "supervisor_pid": 1, "stop": [["SIGTERM", 15], ["SIGKILL", 5]],
     "death_signal": "SIGKILL", "cpus": [0, 1] | null, "unprivileged_folder": "/tmp/..." | null}

Lines it writes to the socket: {"started": pid}, then {"exited": status, "killed": bool}; status -9 means SIGKILL.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x10000000
NOBODY = 65534
PARENT_CHECK_SECONDS = 1.0
ORPHAN_GRACE_SECONDS = 3.0
LINUX = sys.platform == "linux"
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
HANDLED = (*STOPPING, signal.SIGCHLD)


class ChildReaper:
    """One child, the socket to its supervisor, and a pipe that wakes the reaper on a signal."""

    def __init__(self, spec: dict[str, Any], *, control_fd: int) -> None:
        self.spec = spec
        self.control = socket.socket(fileno=control_fd)
        os.set_inheritable(self.control.fileno(), False)
        self.stop_requested = False
        self.status: int | None = None
        self.wakeup, self.wakeup_write = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(self.wakeup_write, False)
        signal.set_wakeup_fd(self.wakeup_write, warn_on_full_buffer=False)
        for number in STOPPING:
            signal.signal(number, self.request_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self.child = 0

    def request_stop(self, number: int, frame: FrameType | None) -> None:
        """Record that a signal asked the reaper to stop its child."""
        self.stop_requested = True

    def close(self) -> None:
        """Close the socket and the pipe."""
        signal.set_wakeup_fd(-1)
        self.control.close()
        os.close(self.wakeup)
        os.close(self.wakeup_write)

    def run(self, child: Callable[[], int]) -> int:
        """Start the child, wait until it ends or must be stopped; return its status (-N: killed by signal N).

        `child` is called in the child's process and returns its exit status.
        """
        if self.spec["cpus"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.spec["cpus"])
        if self.spec["unprivileged_folder"]:
            become_unprivileged(Path(self.spec["unprivileged_folder"]))
        if LINUX:
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.child = self.fork(child)
        self.report({"started": self.child})
        while self.status is None and not self.stop_requested:
            self.wait(PARENT_CHECK_SECONDS, watch_supervisor=True)
        last_signal = self.stop_child()
        self.sweep_orphans()
        status = self.status if self.status is not None else -signal.SIGKILL
        self.report({"exited": status, "killed": last_signal == "SIGKILL"})
        return status

    def fork(self, child: Callable[[], int]) -> int:
        """Fork a child in its own session, and return its pid; on Linux it gets the death signal if the reaper dies."""
        reaper_pid = os.getpid()
        # Block signals until the reaper's handlers are removed: before, they would swallow a signal to the child.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        pid = os.fork()
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            return pid
        status = 1
        try:
            self.close()
            for number in HANDLED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.setsid()
            if LINUX:
                death_signal = signal.Signals[self.spec["death_signal"]]
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() == reaper_pid:
                status = child()
        except BaseException:  # noqa: BLE001  # last frame of the process: report it as the interpreter does
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        os._exit(status)

    def wait(self, timeout_seconds: float, *, watch_supervisor: bool) -> None:
        """Wait for a signal, a message of the supervisor or the timeout, then reap children that ended."""
        sources = [self.control.fileno(), self.wakeup] if watch_supervisor else [self.wakeup]
        ready, _, _ = select.select(sources, [], [], timeout_seconds)
        if self.wakeup in ready:
            os.read(self.wakeup, 4096)
        # Any message means stop; an empty read means that the supervisor has ended. The parent is checked too, since a
        # forked process may hold a copy of the supervisor's end of the socket.
        if self.control.fileno() in ready or os.getppid() != self.spec["supervisor_pid"]:
            self.stop_requested = True
        self.collect()

    def collect(self) -> bool:
        """Reap all children that ended, adopted ones included; return True if none is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self.child:
                self.status = os.waitstatus_to_exitcode(status)

    def stop_child(self) -> str | None:
        """Send the stop signals in order, each with its time to take effect; return the last one sent."""
        last_signal: str | None = None
        for name, grace_seconds in self.spec["stop"]:
            if self.status is not None:
                break
            last_signal = name
            os.kill(self.child, signal.Signals[name])
            self.wait_for_child(grace_seconds)
        return last_signal

    def wait_for_child(self, limit_seconds: float) -> None:
        """Wait until the child has ended or the limit is over; ignore the supervisor meanwhile."""
        deadline = time.monotonic() + limit_seconds
        while self.status is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.wait(left, watch_supervisor=False)

    def sweep_orphans(self) -> None:
        """Give orphans of the child a moment to end, then kill them."""
        deadline = time.monotonic() + ORPHAN_GRACE_SECONDS
        while not self.collect() and (left := deadline - time.monotonic()) > 0:
            self.wait(min(left, 0.2), watch_supervisor=False)
        if LINUX:
            for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        self.collect()

    def report(self, message: dict[str, object]) -> None:
        """Write one line to the supervisor; if it has ended, stop the child."""
        try:
            self.control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.stop_requested = True


def execute(command: list[str]) -> int:
    """Replace this process by a program; return 127 if it cannot be run."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        sys.stderr.flush()
    return 127


def become_unprivileged(folder: Path) -> None:
    """Give this process a uid that PostgreSQL accepts: it rejects uid 0, and uids without a name.

    In a user namespace of its own the process keeps access to the files of its user. Where the kernel or a container
    forbids that, root becomes the user `nobody`, who gets `folder` and all files in it.
    """
    user_id, group_id = os.geteuid(), os.getegid()
    if LINUX and ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{NOBODY} {user_id} 1")
        Path("/proc/self/gid_map").write_text(f"{NOBODY} {group_id} 1")
        return
    if user_id != 0:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def main() -> int:
    """Run the reaper; return the exit status of the child, 128 + N if signal N killed it."""
    spec = json.loads(sys.argv[1])
    status = ChildReaper(spec, control_fd=spec["control_fd"]).run(lambda: execute(spec["command"]))
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
