"""Starts receivers as real processes and stops them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_SECONDS


@dataclass
class RunningReceiver:
    """One receiver: its address, its folder, and how to stop it."""

    process: subprocess.Popen[str]
    address: str
    directory: Path

    @property
    def url(self) -> str:
        """Return the URL for traces."""
        return f"http://{self.address}/v1/traces"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def lines(self) -> list[dict[str, Any]]:
        """All written lines, oldest file first; the current file's name sorts behind the numbered ones."""
        return [json.loads(line) for path in self.files() for line in path.read_text().splitlines()]

    def files(self) -> list[Path]:
        """All files, oldest first."""
        return sorted(self.directory.glob("traces*.jsonl"))


StartReceiver = Callable[..., RunningReceiver]


@contextmanager
def receivers(folder: Path) -> Iterator[StartReceiver]:
    """Start receivers with settings given as keyword arguments, and kill at the end what still runs."""
    started: list[subprocess.Popen[str]] = []

    def start(*, name: str = "traces", prefix: tuple[str, ...] = (), **settings: object) -> RunningReceiver:
        ready_file = folder / f"ready-{len(started)}.json"
        directory = folder / name
        given = {"listen": "127.0.0.1:0", "directory": directory, "ready_file": ready_file, **settings}
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "observability.receiver"],
            env={**os.environ, **{f"RECEIVER_{name.upper()}": str(value) for name, value in given.items()}},
            stdout=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ready_file.exists():
            assert process.poll() is None, "the receiver ended before it was ready"
            assert time.monotonic() < deadline, "the receiver was not ready in time"
            time.sleep(0.01)
        return RunningReceiver(process, json.loads(ready_file.read_text())["http"], directory)

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def start_receiver(tmp_path: Path) -> Iterator[StartReceiver]:
    """Start receivers of the test's own."""
    with receivers(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def standing_receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """One receiver with the default settings for all tests of a file; no test may stop it."""
    with receivers(tmp_path_factory.mktemp("receiver")) as start:
        yield start()


@pytest.fixture
def receiver(standing_receiver: RunningReceiver) -> RunningReceiver:
    """Return the file's receiver with an empty file: it appends, so the test may truncate the file."""
    return emptied(standing_receiver)


def emptied(receiver: RunningReceiver) -> RunningReceiver:
    """Return a receiver whose file was emptied."""
    for path in receiver.files():
        os.truncate(path, 0)
    return receiver
