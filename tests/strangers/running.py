"""A foreign system that runs: its address, its processes, and how programs of it are started and ended."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from observability.testbed.errors import TestbedError
from observability.testbed.processor_limit import ProcessorLimit, limited
from tests.strangers.load import Send

STOP_SECONDS = 20.0
PERIOD_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class System:
    """A running system.

    send: sends one request and says whether its answer is right.
    pids: its processes by the service that each runs.
    metrics: addresses of metrics pages by target.
    cpu_limit: of the service that has a limit of processor time, by the service; empty without one.
    """

    send: Send
    pids: Mapping[str, int]
    metrics: Mapping[str, str] = field(default_factory=dict)
    cpu_limit: Mapping[str, ProcessorLimit] = field(default_factory=dict)


@contextmanager
def program(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str],
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, with its children, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(STOP_SECONDS)


@contextmanager
def limited_cpu(pid: int, processors: float) -> Iterator[ProcessorLimit]:
    """Let a process and its children use so many processors, as Kubernetes does. Skips without the right to."""
    with contextlib.ExitStack() as stack:
        try:
            limit = limited(pid, processors, name=f"stranger-{pid}", period_seconds=PERIOD_SECONDS)
            yield stack.enter_context(limit)
        except TestbedError as error:
            pytest.skip(str(error))
