"""Monitoring program, such as Prometheus: runs it as a child process, and waits until it is ready."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp

from services.local.platform.plan import base_environment
from services.local.processes.child_process import ChildProcess, Command
from services.local.processes.scratch_folder import Scratch

READY_SECONDS = 30.0
ASK_SECONDS = 5.0
STOP = (("SIGTERM", 10.0), ("SIGKILL", 5.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringProgram:
    """A monitoring program, such as Prometheus or an exporter.

    name: name of its log file.
    arguments: its command line.
    ready_url: URL that answers 200 once it is ready.
    logs_directory: where its log goes.
    secrets: environment variables, kept out of the command line.
    """

    name: str
    arguments: tuple[str, ...]
    ready_url: str
    logs_directory: Path
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @asynccontextmanager
    async def running(self, scratch: Scratch) -> AsyncIterator[ChildProcess]:
        """Run it during a with block, which starts once it is ready. Raises LocalError."""
        command = Command(
            name=self.name,
            arguments=self.arguments,
            log_path=self.logs_directory / f"{self.name}.log",
            environment={**base_environment(), **self.secrets},
            stop=STOP,
        )
        process = ChildProcess(command, scratch=scratch)
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_SECONDS)) as session:
                if not await process.ready_within(READY_SECONDS, partial(self._answers, session)):
                    raise process.failure(await process.exited())
            yield process
        finally:
            await process.stop()

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(self.ready_url) as page:
                return page.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
