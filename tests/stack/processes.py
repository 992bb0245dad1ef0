"""Runner of a real program beside a test: output in a file, bounded waits until it answers and until it ends."""

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import TypeVar

from tests.patience import PATIENCE_SECONDS

ANSWER_SECONDS = 60.0
POLL_SECONDS = 0.1
TAIL_LINES = 12
HOST = "127.0.0.1"
T = TypeVar("T")


def free_port() -> int:
    """Return a free port below the range that the system gives to outgoing connections."""
    for port in SystemRandom().sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port
    raise AssertionError("no port is free")


def get(url: str) -> bytes:
    """Return the body of an answer with 2xx; raises OSError, as urllib's errors are."""
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
        return bytes(answer.read())


def answers(url: str) -> bool:
    """Say whether an address answers with 2xx."""
    try:
        get(url)
    except OSError:
        return False
    return True


def eventually(look: Callable[[], T | None], *, what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Return what `look` finds as soon as it finds something; fails when time is up.

    A server that does not answer yet has not what is looked for yet.
    """
    deadline = time.monotonic() + seconds
    refused: OSError | None = None
    while time.monotonic() < deadline:
        try:
            found = look()
        except OSError as error:
            refused = error
        else:
            if found:
                return found
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"not within {seconds:.0f} s: {what}") from refused


@contextmanager
def running(
    command: Sequence[str | Path], *, log: Path, ready: Callable[[], bool], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program from when it is ready until the block ends; it must then end by itself on SIGTERM."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: _alive(process, log) and ready(), what=f"{command[0]} is ready")
        yield process
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0, _tail(log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_SECONDS)


def _alive(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"{process.args!r} ended with {process.returncode}:\n{_tail(log)}")
    return True


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
