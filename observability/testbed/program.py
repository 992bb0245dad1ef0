"""How does a campaign start one program again and again, and learn how each of its lives ended?"""

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

_NURSERY = "observability.testbed.fork_server"
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
        """How it ended: its exit status, or -9 for SIGKILL."""
        return self._ended.result()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; none to a process that has ended."""
        if not self.is_over:
            os.kill(self.pid, number)

    async def ended_within(self, seconds: float) -> bool:
        """Wait for the end at most so long; say whether it came."""
        await asyncio.wait({self._ended}, timeout=seconds)
        return self.is_over

    def end(self, status: int) -> None:
        """Note the end."""
        self._ended.set_result(status)


class Program:
    """One program of the shop in its nursery, which has imported it; one life at a time."""

    def __init__(self, module: str, nursery: Process) -> None:
        self._module = module
        self._nursery = nursery
        self._started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._life: ProcessHandle | None = None

    @staticmethod
    @asynccontextmanager
    async def prepare(module: str) -> AsyncIterator["Program"]:
        """Import the program for the time of a block, at whose end what lives of it is killed; raises TestbedError."""
        nursery = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _NURSERY, module, "serve", stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        assert nursery.stdin is not None
        program = Program(module, nursery)
        listener = asyncio.create_task(program._listen(), name=f"listen-{module}")
        try:
            await program._answer(_IMPORT_SECONDS)
            yield program
        finally:
            nursery.stdin.close()
            await _end(nursery)
            await listener

    async def start(self, environment: Mapping[str, str], *, log_path: Path) -> ProcessHandle:
        """Begin a life; the one before must be over. Raises TestbedError."""
        assert self._life is None or self._life.is_over
        assert self._nursery.stdin is not None
        self._started = asyncio.get_running_loop().create_future()
        request = {"environment": dict(environment), "log": str(log_path)}
        self._nursery.stdin.write(json.dumps(request).encode() + b"\n")
        await self._answer(_START_SECONDS)
        assert self._life is not None
        return self._life

    async def _answer(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._started)
        except TimeoutError as error:
            raise TestbedError(f"{self._module} did not start within {seconds:.0f} s") from error

    async def _listen(self) -> None:
        """Follow what the nursery says until it ends."""
        assert self._nursery.stdout is not None
        async for line in self._nursery.stdout:
            self._hear(json.loads(line))
        if not self._started.done():
            self._started.set_exception(TestbedError(f"{self._module} cannot be imported; see what it wrote above"))
        if self._life is not None and not self._life.is_over:
            self._life.end(-signal.SIGKILL)

    def _hear(self, message: dict[str, int]) -> None:
        match message:
            case {"started": pid}:
                self._life = ProcessHandle(pid)
                self._started.set_result(pid)
            case {"exited": status}:
                assert self._life is not None
                self._life.end(status)
            case {"ready": pid}:
                self._started.set_result(pid)


async def _end(nursery: Process) -> None:
    """Wait for the nursery, which ends with its input, and kill it when it does not."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await nursery.wait()
    except TimeoutError:
        nursery.kill()
        await nursery.wait()
