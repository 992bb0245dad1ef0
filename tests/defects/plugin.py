"""Pytest plugin that puts a defect back during the test that must catch it, and writes down how that test ended.

`pytest -p tests.defects.plugin --defects-report FILE TEST...`
"""

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.defects.catalogue import DEFECTS

REPORT = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--defects-report", type=Path, required=True, help="file of one JSON line for each phase of a test"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = config.getoption("--defects-report")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Put the defect back for this test, its fixtures included, and for no other."""
    with pytest.MonkeyPatch.context() as patch:
        DEFECTS[caught_by(item)].put_back(patch)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write one line for each phase."""
    report = yield
    line = {"defect": caught_by(item), "when": report.when, "failed": report.failed, "text": report.longreprtext}
    with item.config.stash[REPORT].open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return report


def caught_by(item: pytest.Item) -> str:
    """Return the name of the defect that a test must catch."""
    name = item.nodeid.partition("[")[0]
    return next(defect.name for defect in DEFECTS.values() if defect.caught_by == name)
