"""Launcher of the platform's programs: starts them, waits until they are ready, and stops them."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from services.local.platform.plan import PlatformOptions
from services.local.processes.child_process import ChildProcess, Command
from services.local.processes.errors import ProcessFailed
from services.local.processes.preloaded_program import PreloadedProgram
from services.local.processes.process_watch import Watch
from services.local.processes.scratch_folder import Scratch

POLL_SECONDS = 0.005
MIGRATION_SECONDS = 180.0
# Interval of the progress message about a program that is not ready yet.
PROGRESS_SECONDS = 3.0
KILL_SECONDS = 5.0

Progress = Callable[[str], None]


def silent(message: str) -> None:
    """Ignore a progress message."""


class Launcher:
    """Starts programs with a common environment.

    The platform depends on a launched program: `stack` stops it, and `watch` reports it if it ends before. A started
    program is the caller's: a dead one stays dead until the caller starts it again.
    """

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
        self.processes: dict[str, ChildProcess] = {}
        self._preloaded: dict[str, PreloadedProgram] = {}

    async def migrate(self, name: str, settings: Mapping[str, str]) -> None:
        """Run a service's migrations to their end. Raises ProcessFailed with their output."""
        command = self._command(f"{name}-migrate", {**settings, **self._options.extra_environment(name)}, ())
        process = ChildProcess(command, scratch=self._scratch)
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
        """Start a program that runs until the platform is stopped."""
        self._progress(f"starting {name}")
        process = self.start(name, {**settings, **self._options.extra_environment(name)}, arguments=arguments)
        self._stack.push_async_callback(self.stop, process)
        self._watch.add(process)

    def start(
        self,
        name: str,
        settings: Mapping[str, str],
        *,
        arguments: tuple[str, ...] = ("serve",),
        log_path: Path | None = None,
    ) -> ChildProcess:
        """Start a program for the caller, which stops it; the process of this name before must have ended."""
        self.ready_file(name).unlink(missing_ok=True)
        command = self._command(name, settings, arguments, log_path)
        process = ChildProcess(command, scratch=self._scratch, program=self._preloaded.get(name))
        self.processes[name] = process
        return process

    def preload(self, name: str) -> None:
        """Import a program once and fork it for each start from now on, which saves each start the imports."""
        module, log_path = self._options.module(name), self._log_path(name)
        program = self._preloaded[name] = PreloadedProgram(module, scratch=self._scratch, log_path=log_path)
        self._stack.push_async_callback(program.close)

    async def ready(self, name: str, *, keys: tuple[str, ...] = ()) -> dict[str, str]:
        """Wait until a program has written its addresses, and return them.

        Raises ProcessFailed if it ends before, or after the timeout.
        """
        process = self.processes[name]
        if not await self.is_ready(name):
            raise process.failure(await process.exited())
        addresses: dict[str, str] = json.loads(self.ready_file(name).read_text())
        if missing := [key for key in keys if key not in addresses]:
            raise ProcessFailed(f"{name} wrote a ready file without {', '.join(missing)}.")
        self._progress(f"{name} is ready")
        return addresses

    async def is_ready(self, name: str) -> bool:
        """Wait until a program has written its addresses; return False if it ends before.

        Raises ProcessFailed after the timeout.
        """
        process, ready_file = self.processes[name], self.ready_file(name)
        began, reported_seconds = time.monotonic(), 0.0

        async def is_written() -> bool:
            nonlocal reported_seconds
            waited_seconds = time.monotonic() - began
            if waited_seconds > reported_seconds + PROGRESS_SECONDS:
                reported_seconds = waited_seconds
                self._progress(f"waiting for {name}, process {process.pid}, to be ready.{process.tail(lines=1)}")
            return ready_file.exists()

        return await process.ready_within(self._options.start_timeout_seconds, is_written, poll_seconds=POLL_SECONDS)

    def ready_file(self, name: str) -> Path:
        """Return the file in which a program writes its addresses."""
        return self._scratch.folder / f"ready-{name}.json"

    async def stop(self, process: ChildProcess) -> None:
        """Stop a process, with a progress message, and another one if it had to be killed."""
        try:
            if not process.ended:
                self._progress(f"stopping {process.command.name}")
        finally:
            # The progress callback may fail, for example on a closed terminal; the process is stopped all the same.
            result = await process.stop()
        if result.killed:
            self._progress(f"{process.command.name} did not stop in time and was killed")

    def _log_path(self, name: str) -> Path:
        return self._options.logs_directory / f"{name}.log"

    def _command(
        self, name: str, settings: Mapping[str, str], arguments: tuple[str, ...], log_path: Path | None = None
    ) -> Command:
        return Command(
            name=name,
            arguments=(sys.executable, "-m", self._options.module(name), *arguments),
            log_path=log_path or self._log_path(name),
            environment={**self._environment, **settings},
            stop=(("SIGTERM", self._options.stop_timeout_seconds), ("SIGKILL", KILL_SECONDS)),
            cpus=self._options.cpus,
        )
