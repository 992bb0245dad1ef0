"""Fixtures of the stack tests: time for builds, a Jaeger, a Collector, and lines for the summary."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.workermanage import WorkerController

from tests.stack.collector import Collector, collector
from tests.stack.jaeger import Jaeger, jaeger

# The first test that needs a program waits until it is built.
SECONDS = 2400
MEASURED = pytest.StashKey[list[str]]()
Measured = Callable[[str], None]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MEASURED] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the lines of a worker of pytest-xdist to the process that prints them."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["measured"] = session.config.stash[MEASURED]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take the lines of a worker; one that died has none."""
    node.config.stash[MEASURED].extend(getattr(node, "workeroutput", {}).get("measured", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[MEASURED]:
        terminalreporter.section("measured")
        for line in config.stash[MEASURED]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Measured:
    """Return a function that adds a line to the summary."""
    lines: list[str] = request.config.stash[MEASURED]
    return lines.append


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """Run a real Jaeger for this module."""
    with jaeger(tmp_path_factory.mktemp("jaeger")) as running:
        yield running


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Collector]:
    """Run a real Collector whose exporters have no receiver."""
    with collector(tmp_path) as running:
        yield running
