"""Scheduling of tests for pytest-xdist: tests that share an expensive fixture run in one worker."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# The tests of these folders share a running platform, or a shop in which everything has happened.
SHARING = ("tests/e2e/", "tests/integration/invariants/")
# Files whose tests share nothing that is dear to start, and take long: any worker takes the next.
SPREAD = ("test_up.py", "test_campaigns.py", "test_patterns.py", "test_stock_parts.py", "test_collector_alerts.py")
# They take longest, so that they begin first: else all would wait for the last of them.
FIRST = (
    "tests/stack/test_every_expression.py",
    "tests/stack/test_compose_up.py",
    "tests/stack/test_owner_alerts.py",
    "tests/rules/test_mutants.py",
    "tests/integration/order/test_state_machine.py",
    "tests/integration/bench/",
    "tests/integration/chaos/test_campaigns.py",
    "tests/defects/",
)


def shared_by(nodeid: str) -> str:
    """Return the name of what a test shares with others: the folder, the file, or the test itself."""
    path = nodeid.partition("::")[0]
    for folder in SHARING:
        if path.startswith(folder):
            return folder
    return nodeid if path.endswith(SPREAD) else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first; the rest keeps its order."""
    items.sort(key=lambda item: next((i for i, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST)))


class SharedScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist marks it as untyped
    """Schedule tests by what they share.

    The marker `xdist_group` would say the same, but has no effect since pytest 9.2 (pytest-xdist issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return the unit of work that a test belongs to; the base class asks for it by this name."""
        return shared_by(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedScheduling:
    """Use this scheduling, whatever `--dist` says."""
    return SharedScheduling(config, log)
