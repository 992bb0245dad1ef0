"""Provenance of a measurement: the commit, and how fast the machine runs a fixed loop."""

import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
LOOP_STEPS = 1_000_000
LOOP_TIMES = 5
GIT_SECONDS = 10.0


def commit() -> str:
    """Return the commit of the code, with -dirty for changes; "unknown" outside a git repository."""
    command = ("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def loop_milliseconds() -> float:
    """Return the shortest time of a fixed loop in Python, as a measure of the machine's speed now."""
    return min(one_loop_seconds() for _ in range(LOOP_TIMES)) * 1e3


def one_loop_seconds() -> float:
    """Return the time of one loop."""
    began = time.perf_counter()
    total = 0
    for number in range(LOOP_STEPS):
        total += number
    return time.perf_counter() - began
