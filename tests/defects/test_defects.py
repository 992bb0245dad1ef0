"""Mutation tests: each defect of the catalogue makes the test named for it fail, by an assertion."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.defects.catalogue import DEFECTS, Defect

ROOT = Path(__file__).parents[2]
SECONDS = 800.0
TESTS_FAILED = 1

Report = Mapping[str, Any]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[Report]:
    """Run each catching test once, all in one process, each with its defect put back; return how its phases ended."""
    file = tmp_path_factory.mktemp("defects") / "reports.jsonl"
    options = ("-q", "-m", "not full", "-p", "tests.defects.plugin", "-p", "no:cacheprovider")
    tests = [defect.caught_by for defect in DEFECTS.values()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--defects-report={file}", *tests],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == TESTS_FAILED, done.stdout
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=list(DEFECTS))
def test_the_test_that_catches_a_defect_exists(defect: Defect) -> None:
    path, _, name = defect.caught_by.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.full
@pytest.mark.parametrize("defect", DEFECTS.values(), ids=list(DEFECTS))
def test_a_naive_version_is_caught(defect: Defect, reports: list[Report]) -> None:
    """By an assertion, and not because the naive version does not run at all."""
    failures = [report for report in reports if report["defect"] == defect.name and report["failed"]]
    assert {report["when"] for report in failures} == {"call"}, failures
    assert all(defect.shows_in in report["text"] for report in failures), failures
