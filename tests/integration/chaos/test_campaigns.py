"""Does a shop that is broken on purpose keep every promise? One short campaign of each kind, as a user runs it."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local.conftest import needs_nats

SECONDS = 120.0

pytestmark = pytest.mark.timeout(SECONDS + 30)


# So few kills cannot reach every point, which the command tells by its exit code.
INCOMPLETE = 3


async def chaos(output: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run `plumb chaos` to its end; return what it wrote. It must exit with this code."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("plumb"),
        *("chaos", *arguments, "--output", str(output)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        async with asyncio.timeout(SECONDS):
            printed = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == code, printed
    (result,) = output.glob("*/result.json")
    document: dict[str, Any] = json.loads(result.read_text())
    return document


@needs_nats
async def test_services_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    """Three processes, with NATS as the log; too few kills for each point to have its turn."""
    found = await chaos(
        tmp_path, "kill", "--mode", "services", "--bus", "nats", "--kills", "4", "--seed", "2", code=INCOMPLETE
    )
    assert (found["holds"], found["total_kills"] >= 4) == (True, True)


async def test_a_monolith_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "kill", "--mode", "monolith", "--kills", "4", "--seed", "2", code=INCOMPLETE)
    assert (found["holds"], found["total_kills"] >= 4) == (True, True)


async def test_a_storm_on_one_sku_sells_exactly_its_stock(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "storm", "--times", "1")
    assert found["holds"] is True


async def test_requests_and_deliveries_that_come_again_have_no_effect(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "duplicates", "--deliveries", "1000")
    assert (found["holds"], found["figures"]["repeated_deliveries"] >= 1000) == (True, True)


async def test_a_relay_that_stood_still_is_fenced(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "pause", "--most", "1")
    assert found["holds"] is True


async def test_a_database_that_ends_under_load_keeps_its_orders(tmp_path: Path) -> None:
    """Once in order, once as in a crash."""
    found = await chaos(tmp_path, "postgres-restart", "--times", "2")
    assert found["holds"] is True


async def test_a_log_that_is_emptied_is_filled_again(tmp_path: Path) -> None:
    """Every event that had been published by then is published again."""
    found = await chaos(tmp_path, "broker-wipe", "--times", "1")
    lost = sum(each["events_before"] for each in found["figures"]["breaks"])
    assert 0 < lost <= found["figures"]["republished_events"]
