"""Edges to send load to, as real processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.patience import PATIENCE_SECONDS

StartEdge = Callable[[float, float], str]


@contextmanager
def _edge(period_seconds: float, stall_seconds: float) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.integration.load.stalling_edge", str(period_seconds), str(stall_seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(timeout=PATIENCE_SECONDS)


@pytest.fixture
def start_edge() -> Iterator[StartEdge]:
    """Start an edge that stalls for so many seconds of each period, and return its host:port."""
    with ExitStack() as stack:
        yield lambda period_seconds, stall_seconds: stack.enter_context(_edge(period_seconds, stall_seconds))


@pytest.fixture
def prompt_edge(start_edge: StartEdge) -> str:
    """Return an edge that never stalls."""
    return start_edge(1.0, 0.0)
