"""What every test may ask for."""

import signal
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.postgres"]


@pytest.fixture(scope="session", autouse=True)
def hang_up_heard() -> Iterator[None]:
    """Undo `nohup`, under which a CI may run: a process that ignores SIGHUP from its birth goes on doing so."""
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, inherited)
