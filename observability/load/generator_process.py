"""Runs the load generator as a child process, which ends with its parent."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from observability.load.errors import LoadError
from observability.load.generator import GeneratorTask
from observability.load.host_usage import HostUse
from observability.load.options import Progress
from observability.load.recorder import OnProgress, RequestRecord
from observability.load.result import LoadSummary
from observability.load.validity_checks import Gate

_MODULE = "observability.load.generator"
# Beyond the run itself: start, plan, last answers, and writing the result.
_MARGIN_SECONDS = 60.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """The generator's result file, as read back; see LoadResult."""

    started_at_unix_seconds: float
    elapsed_seconds: float
    invalid_because: tuple[str, ...]
    gates: tuple[Gate, ...]
    summary: LoadSummary
    host: HostUse
    requests: tuple[RequestRecord, ...]


async def run_load(task: GeneratorTask, *, log_path: Path, on_progress: OnProgress) -> Load:
    """Run the generator and return its result; raises LoadError. On cancellation, wait for the generator's end."""
    async with _generator(task, log_path) as process:
        try:
            async with asyncio.timeout(task.duration_seconds + _MARGIN_SECONDS):
                status = await _follow(process, on_progress)
        except TimeoutError as error:
            raise LoadError("the load generator did not end in time") from error
    if status != 0:
        raise LoadError(_last_line(log_path) or f"the load generator ended with exit status {status}")
    return _read_load(task.result_path)


@asynccontextmanager
async def _generator(task: GeneratorTask, log_path: Path) -> AsyncIterator[Process]:
    """Start the generator in its own session, so that Ctrl-C reaches this process only; end it after the with block."""
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, stdin=PIPE, stdout=PIPE, stderr=log, start_new_session=True
        )
    assert process.stdin is not None
    try:
        process.stdin.write(task.to_json_line())
        yield process
    finally:
        process.stdin.close()
        await _end(process)


async def _follow(process: Process, on_progress: OnProgress) -> int:
    assert process.stdout is not None
    async for line in process.stdout:
        on_progress(Progress(**orjson.loads(line)))
    return await process.wait()


async def _end(process: Process) -> None:
    """Wait for the generator, which stops when its input ends, and kill it if it does not."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _read_load(path: Path) -> Load:
    return TypeAdapter(Load).validate_json(path.read_bytes())


def _last_line(log_path: Path) -> str:
    return log_path.read_text(errors="replace").strip().rpartition("\n")[2]
