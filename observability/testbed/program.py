"""Program of the testbed: starts processes of one program through its fork server, and reports their exit status."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from observability.testbed.errors import TestbedError

_FORK_SERVER = "observability.testbed.fork_server"
_IMPORT_SECONDS = 60.0
_START_SECONDS = 10.0
_STOP_SECONDS = 10.0


class ProcessHandle:
    """One process, from its start to its end."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
        """True when the process has ended."""
        return self._ended.done()

    @property
    def status(self) -> int:
        """Exit status of an ended process; -9 for SIGKILL."""
        return self._ended.result()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if not self.is_over:
            os.kill(self.pid, number)

    async def ended_within(self, seconds: float) -> bool:
        """Wait at most so many seconds for the end; return whether the process has ended."""
        await asyncio.wait({self._ended}, timeout=seconds)
        return self.is_over

    def end(self, status: int) -> None:
        """Record the exit status."""
        self._ended.set_result(status)


class Program:
    """One program of the shop and its fork server, which has imported it; one process at a time."""

    def __init__(self, module: str, server: Process) -> None:
        self._module = module
        self._server = server
        self._started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._handle: ProcessHandle | None = None

    @staticmethod
    @asynccontextmanager
    async def prepare(module: str) -> AsyncIterator["Program"]:
        """Start the fork server during a with block; at its end, kill its process. Raises TestbedError."""
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _FORK_SERVER, module, "serve", stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        assert server.stdin is not None
        program = Program(module, server)
        listener = asyncio.create_task(program._read_messages(), name=f"listen-{module}")
        try:
            await program._wait_for_start(_IMPORT_SECONDS)
            yield program
        finally:
            server.stdin.close()
            await _end(server)
            await listener

    async def start(self, environment: Mapping[str, str], *, log_path: Path) -> ProcessHandle:
        """Start a process; the one before must have ended. Raises TestbedError."""
        assert self._handle is None or self._handle.is_over
        assert self._server.stdin is not None
        self._started = asyncio.get_running_loop().create_future()
        request = {"environment": dict(environment), "log": str(log_path)}
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        await self._wait_for_start(_START_SECONDS)
        assert self._handle is not None
        return self._handle

    async def _wait_for_start(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._started)
        except TimeoutError as error:
            raise TestbedError(f"{self._module} did not start within {seconds:.0f} s") from error

    async def _read_messages(self) -> None:
        """Read the fork server's messages until it ends."""
        assert self._server.stdout is not None
        async for line in self._server.stdout:
            self._on_message(json.loads(line))
        if not self._started.done():
            self._started.set_exception(TestbedError(f"{self._module} cannot be imported; see what it wrote above"))
        if self._handle is not None and not self._handle.is_over:
            self._handle.end(-signal.SIGKILL)

    def _on_message(self, message: dict[str, int]) -> None:
        match message:
            case {"started": pid}:
                self._handle = ProcessHandle(pid)
                self._started.set_result(pid)
            case {"exited": status}:
                assert self._handle is not None
                self._handle.end(status)
            case {"ready": pid}:
                self._started.set_result(pid)


async def _end(server: Process) -> None:
    """Wait for the fork server, which ends with its input, and kill it if it does not."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await server.wait()
    except TimeoutError:
        server.kill()
        await server.wait()
