"""A process is distinguished from a later one with the same pid."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.local.processes.process_identity import is_same_process, start_token


def test_a_living_process_is_itself() -> None:
    token = start_token(os.getpid())
    assert token is not None
    assert is_same_process(os.getpid(), token)


def test_a_process_with_another_start_is_another() -> None:
    assert not is_same_process(os.getpid(), "an earlier boot:17")


def test_a_process_that_ended_has_no_token() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert start_token(child.pid) is None


def test_a_process_that_ended_uncollected_has_no_token() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_token(child.pid) is None
    child.wait()
    child.stdout.close()


def test_a_process_may_end_during_the_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux answers the read, not the opening, with ESRCH: it hung one interrupted start in some hundreds."""

    def ended(path: Path) -> str:
        raise ProcessLookupError(path)

    monkeypatch.setattr(Path, "read_text", ended)
    assert start_token(os.getpid()) is not None
