"""Child process under a reaper: starts it, waits for its end, and stops it."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from services.local.processes.errors import LocalError, ProcessFailed
from services.local.processes.preloaded_program import PreloadedProgram, open_log
from services.local.processes.scratch_folder import Scratch

# The first process of a preloaded program waits for the imports.
START_SECONDS = 180.0
REAPER_MARGIN_SECONDS = 10.0
POLL_SECONDS = 0.02
TAIL_LINES = 12
TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Command:
    """Command of a process, its output, and how to stop it.

    name: name in messages
    arguments: program and its arguments
    log_path: file to which standard output and error are appended
    environment: all variables of the process
    stop: signals in the order in which they are sent, each with the seconds that it has to take effect
    death_signal: signal that the process gets if its reaper is killed (Linux)
    cpus: processors that the process may use; None means all
    unprivileged_folder: for programs that reject root, the folder that they write; None keeps the user
    working_folder: None keeps ours
    """

    name: str
    arguments: tuple[str, ...]
    log_path: Path
    environment: Mapping[str, str]
    stop: tuple[tuple[str, float], ...] = (("SIGTERM", 15.0), ("SIGKILL", 5.0))
    death_signal: str = "SIGKILL"
    cpus: frozenset[int] | None = None
    unprivileged_folder: Path | None = None
    working_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """End of a process: its exit status (-9 means signal 9) and whether it had to be killed."""

    status: int
    killed: bool = False

    def describe(self) -> str:
        """Return the end in words, for the middle of a sentence."""
        if self.status >= 0:
            return f"ended with exit status {self.status}"
        return f"was killed by {signal.Signals(-self.status).name}"


class ChildProcess:
    """A child process under a reaper (child_reaper.py), so that it never outlives this process.

    `end_wanted` is True once its end was requested, so that the end is not reported as a failure.
    """

    def __init__(self, command: Command, *, scratch: Scratch, program: PreloadedProgram | None = None) -> None:
        """Start the reaper, synchronously, so that no cancellation can lose it. Raises LocalError.

        With `program`, its fork server is the reaper, and forks the child instead of running `python -m`.
        """
        self.command = command
        self.pid = 0
        self.end_wanted = False
        self._log_start = _size(command.log_path)
        self._scratch = scratch
        self._forked = program is not None
        ours, theirs = socket.socketpair()
        try:
            with theirs, open_log(command.log_path) as log:
                if program is None:
                    self._reaper = self._start_reaper(theirs, log)
                else:
                    spec = {**self._spec(), "environment": dict(command.environment)}
                    program.start(spec, control=theirs, log=log)
                    self._reaper = program.server
        except OSError as error:
            ours.close()
            raise LocalError(f"cannot start {command.name}: {error}") from error
        ours.setblocking(False)
        self._control = ours
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[int] = loop.create_future()
        self._exited: asyncio.Future[Exit] = loop.create_future()
        self._listener = loop.create_task(self._listen())

    def _start_reaper(self, control: socket.socket, log: BinaryIO) -> "subprocess.Popen[bytes]":
        reaper = Path(__file__).with_name("child_reaper.py")
        spec = json.dumps({**self._spec(), "control_fd": control.fileno()})
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(reaper), spec],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(control.fileno(), self._scratch.lock_descriptor),
            env=dict(self.command.environment),
            cwd=self.command.working_folder,
            start_new_session=True,
        )

    def _spec(self) -> dict[str, object]:
        command = self.command
        return {
            "command": list(command.arguments),
            "supervisor_pid": os.getpid(),
            "stop": [list(step) for step in command.stop],
            "death_signal": command.death_signal,
            "cpus": sorted(command.cpus) if command.cpus else None,
            "unprivileged_folder": str(command.unprivileged_folder) if command.unprivileged_folder else None,
        }

    async def _listen(self) -> None:
        """Read the reaper's messages until it ends; a reaper that ends without a message was killed."""
        loop = asyncio.get_running_loop()
        buffered = b""
        try:
            while chunk := await self._receive(loop):
                *lines, buffered = (buffered + chunk).split(b"\n")
                for line in lines:
                    self._record(json.loads(line))
        finally:
            # Also after an error, such as a full disk: callers that wait for the end must get it.
            self._control.close()
            if not (self._forked and self._exited.done()):  # a fork server outlives its children
                status = await asyncio.to_thread(self._reaper.wait)
                if not self._exited.done():
                    self._exited.set_result(Exit(status=status, killed=False))

    async def _receive(self, loop: asyncio.AbstractEventLoop) -> bytes:
        try:
            return await loop.sock_recv(self._control, 4096)
        except ConnectionError:
            return b""

    def _record(self, message: dict[str, int]) -> None:
        if "started" in message:
            self.pid = message["started"]
            self._started.set_result(self.pid)
            if not self._forked:
                self._scratch.record(f"{self.command.name} reaper", self._reaper.pid)
            self._scratch.record(self.command.name, self.pid)
        else:
            self._exited.set_result(Exit(status=message["exited"], killed=bool(message["killed"])))

    @property
    def ended(self) -> bool:
        """Whether the child is known to have ended."""
        return self._exited.done()

    async def started(self) -> int:
        """Wait until the child runs, and return its pid. Raises ProcessFailed if it does not start."""
        either: set[asyncio.Future[Any]] = {self._started, self._exited}
        await asyncio.wait(either, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not self._started.done():
            raise ProcessFailed(f"{self.command.name} did not start.{self.tail()}")
        return self.pid

    async def ready_within(
        self, seconds: float, is_ready: Callable[[], Awaitable[bool]], *, poll_seconds: float = POLL_SECONDS
    ) -> bool:
        """Wait until the child is ready; return False if it ends before. Raises ProcessFailed after the limit."""
        await self.started()
        deadline = time.monotonic() + seconds
        while not self.ended:
            if await is_ready():
                return True
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.command.name} was not ready within {seconds:.0f} s.{self.tail()}")
            await asyncio.sleep(poll_seconds)
        return False

    async def listens_within(self, seconds: float, is_ready: Callable[[], Awaitable[bool]], *, taken: str) -> bool:
        """Wait until a server is ready; return False if its log says, with the text `taken`, that its port was taken.

        Raises ProcessFailed if it ends for another reason, or after the limit.
        """
        if await self.ready_within(seconds, is_ready):
            return True
        if taken in self.tail():
            return False
        raise self.failure(await self.exited())

    async def exited(self) -> Exit:
        """Wait, without a limit, until the child has ended, and return how."""
        return await asyncio.shield(self._exited)

    async def ended_within(self, seconds: float) -> bool:
        """Wait at most so many seconds for the end; return whether the child has ended."""
        await asyncio.wait({self._exited}, timeout=seconds)
        return self.ended

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the started child, unless it has ended."""
        if not self.ended:
            os.kill(self.pid, number)

    async def end_by(self, number: signal.Signals, *, limit_seconds: float) -> Exit:
        """Send one signal and wait for the end; after the limit stop the child with its stop signals."""
        self.end_wanted = True
        if not self.ended:
            await self.started()
            self.send(number)
            await self.ended_within(limit_seconds)
        return await self.stop()

    async def stop(self) -> Exit:
        """Stop the child with its stop signals, and return how it ended; may be called again."""
        self.end_wanted = True
        if not self.ended:
            with contextlib.suppress(OSError):  # the reaper has ended
                self._control.send(b"stop\n")
            bound_seconds = sum(seconds for _, seconds in self.command.stop) + REAPER_MARGIN_SECONDS
            if not await self.ended_within(bound_seconds):
                # The reaper itself hangs; its death signal ends the child too.
                self._reaper.kill()
        result = await self.exited()
        await self._listener
        return result

    def failure(self, result: Exit) -> ProcessFailed:
        """Return the error for a child that ended unexpectedly."""
        return ProcessFailed(f"{self.command.name} (process {self.pid}) {result.describe()}.{self.tail()}")

    def tail(self, *, lines: int = TAIL_LINES) -> str:
        """Return the last lines of its log, with the path, to be appended to a message."""
        if not self.command.log_path.is_file():  # it may be a pipe
            return ""
        with self.command.log_path.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            written = log.read().decode(errors="replace").splitlines()[-lines:]
        if not written:
            return f" It wrote nothing to {self.command.log_path}."
        return f" Its last lines, from {self.command.log_path}:\n" + "\n".join(f"  {line}" for line in written)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
