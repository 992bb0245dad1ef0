"""Mutation tests: each defect of the catalogue makes the test named for it fail, by an assertion."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.defects.catalogue import DEFECTS, Defect

ROOT = Path(__file__).parents[2]
SECONDS = 800.0
TESTS_FAILED = 1


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=list(DEFECTS))
def test_the_test_that_catches_a_defect_exists(defect: Defect) -> None:
    path, _, name = defect.caught_by.partition("::")
    assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.full
@pytest.mark.parametrize("defect", DEFECTS.values(), ids=list(DEFECTS))
async def test_a_naive_version_is_caught(defect: Defect) -> None:
    """By an assertion, and not because the naive version does not run at all."""
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.defects.plugin", "-p", "no:cacheprovider")
    process = await asyncio.create_subprocess_exec(
        *command,
        defect.caught_by,
        cwd=ROOT,
        env={**os.environ, "SHOP_DEFECT": defect.name},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == TESTS_FAILED, output
    assert re.search(r"\b1 failed", output), output
    assert " error" not in output.splitlines()[-1], output
    assert defect.shows_in in output, output
