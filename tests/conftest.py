"""Fixtures and hooks of all tests."""

import gc
import logging
import signal
from collections.abc import Iterator

import hypothesis
import pytest

pytest_plugins = ["tests.distribution", "tests.postgres", "tests.valkey"]

# What is imported and collected lives to the end. To look for garbage in it, again and again, would cost each worker a
# third of its time until the first test, and something in every test after that.
gc.disable()

# The same examples in every run: a change is judged by what it changed. `--hypothesis-profile=default` draws others,
# and more of them.
# However long an example takes: the machine may be slow, and be asked for other things.
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    max_examples=40,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")


class FailuresAtOnce:
    """Report each failed test at once, not only at the end of a long run."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write one line for a failure."""
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.write_line(f"FAILED {report.nodeid} ({report.when})", red=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tell of failures at once, in the process that writes to the terminal."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(terminal, pytest.TerminalReporter):
        config.pluginmanager.register(FailuresAtOnce(terminal), "failures at once")


def pytest_collection_finish() -> None:
    """Look for garbage again, but only in what the tests make."""
    gc.collect()
    gc.freeze()
    gc.enable()


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
