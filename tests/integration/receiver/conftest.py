"""Starts receivers as real processes and stops them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
        """Where traces go."""
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


@pytest.fixture
def start_receiver(tmp_path: Path) -> Iterator[StartReceiver]:
    """Start receivers with settings given as keyword arguments, and kill at the end what still runs."""
    started: list[subprocess.Popen[str]] = []

    def start(*, name: str = "traces", prefix: tuple[str, ...] = (), **settings: object) -> RunningReceiver:
        ready_file = tmp_path / f"ready-{len(started)}.json"
        directory = tmp_path / name
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
def receiver(start_receiver: StartReceiver) -> RunningReceiver:
    """One receiver with the default settings."""
    return start_receiver()
