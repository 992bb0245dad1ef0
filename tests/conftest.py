"""What every test may ask for."""

import logging
import signal
from collections.abc import Iterator

import hypothesis
import pytest

pytest_plugins = ["tests.postgres", "tests.valkey"]

# The same examples in every run: a change is judged by what it changed. `--hypothesis-profile=default` draws others.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def hang_up_heard() -> Iterator[None]:
    """Undo `nohup`, under which a CI may run: a process that ignores SIGHUP from its birth goes on doing so."""
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, inherited)


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    """Give the root logger back to pytest after a test whose telemetry took it over."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
