"""Launcher of the platform's programs: starts them, waits until they are ready, and stops them."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from services.local.platform.plan import PlatformOptions
from services.local.processes.errors import ProcessFailed
from services.local.processes.guarded_process import Command, GuardedProcess
from services.local.processes.process_watch import Watch
from services.local.processes.scratch_folder import Scratch

POLL_SECONDS = 0.02
MIGRATION_SECONDS = 60.0
# Interval of the progress message about a program that is not ready yet.
PROGRESS_SECONDS = 3.0
KILL_SECONDS = 5.0

Progress = Callable[[str], None]


def silent(message: str) -> None:
    """Ignore a progress message."""


class Launcher:
    """Starts programs with a common environment; `stack` stops them, and `watch` reports those that end before."""

    def __init__(
        self,
        options: PlatformOptions,
        *,
        environment: Mapping[str, str],
        scratch: Scratch,
        watch: Watch,
        stack: AsyncExitStack,
        progress: Progress,
    ) -> None:
        self._options = options
        self._environment = environment
        self._scratch = scratch
        self._watch = watch
        self._stack = stack
        self._progress = progress
        self.processes: dict[str, GuardedProcess] = {}

    async def migrate(self, name: str, settings: Mapping[str, str]) -> None:
        """Run a service's migrations to their end. Raises ProcessFailed with their output."""
        command = self._command(f"{name}-migrate", name, (), settings)
        process = GuardedProcess(command, scratch=self._scratch)
        try:
            await process.started()
            result = await asyncio.wait_for(process.exited(), MIGRATION_SECONDS)
        except TimeoutError as error:
            raise ProcessFailed(f"{command.name} took more than {MIGRATION_SECONDS:.0f} s.{process.tail()}") from error
        finally:
            await process.stop()
        if result.status != 0:
            raise process.failure(result)

    def launch(self, name: str, settings: Mapping[str, str], *, arguments: tuple[str, ...] = ("serve",)) -> None:
        """Start a program that runs until it is stopped."""
        self._progress(f"starting {name}")
        process = GuardedProcess(self._command(name, name, arguments, settings), scratch=self._scratch)
        self._stack.push_async_callback(self.stop, process)
        self._watch.add(process)
        self.processes[name] = process

    async def ready(self, name: str, *, keys: tuple[str, ...]) -> dict[str, str]:
        """Wait until a program has written its addresses, and return them. Raises ProcessFailed after the timeout."""
        process, ready_file = self.processes[name], self.ready_file(name)
        await process.started()
        limit_seconds, began, reported_seconds = self._options.start_timeout_seconds, time.monotonic(), 0.0
        while not ready_file.exists():
            waited_seconds = time.monotonic() - began
            if waited_seconds > limit_seconds:
                raise ProcessFailed(f"{name} was not ready within {limit_seconds:.0f} s.{process.tail()}")
            if waited_seconds > reported_seconds + PROGRESS_SECONDS:
                reported_seconds = waited_seconds
                self._progress(f"waiting for {name}, process {process.pid}, to be ready.{process.tail(lines=1)}")
            await asyncio.sleep(POLL_SECONDS)
        addresses: dict[str, str] = json.loads(ready_file.read_text())
        if missing := [key for key in keys if key not in addresses]:
            raise ProcessFailed(f"{name} wrote a ready file without {', '.join(missing)}.")
        self._progress(f"{name} is ready")
        return addresses

    def ready_file(self, name: str) -> Path:
        """Return the file in which a program writes its addresses."""
        return self._scratch.folder / f"ready-{name}.json"

    async def stop(self, process: GuardedProcess) -> None:
        """Stop a process, with a progress message, and another one if it had to be killed."""
        try:
            if not process.ended:
                self._progress(f"stopping {process.command.name}")
        finally:
            # The progress callback may fail, for example on a closed terminal; the process is stopped all the same.
            result = await process.stop()
        if result.killed:
            self._progress(f"{process.command.name} did not stop in time and was killed")

    def _command(self, name: str, program: str, arguments: tuple[str, ...], settings: Mapping[str, str]) -> Command:
        return Command(
            name=name,
            arguments=(sys.executable, "-m", self._options.module(name), *arguments),
            log_path=self._options.logs_directory / f"{name}.log",
            environment={**self._environment, **settings, **self._options.extra_environment(program)},
            stop=(("SIGTERM", self._options.stop_timeout_seconds), ("SIGKILL", KILL_SECONDS)),
            cpus=self._options.cpus,
        )
