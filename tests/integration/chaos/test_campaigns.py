"""Does a shop that is broken on purpose keep every promise? One short campaign of each kind, as a user runs it."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local.conftest import needs_nats

# Far more than any takes, on a slow machine with neighbours too.
SECONDS = 800.0

pytestmark = pytest.mark.full


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


async def test_a_service_that_is_away_for_a_while_is_left_alone_and_called_again(tmp_path: Path) -> None:
    """At a rate that a slow machine with neighbours serves: only then is each second normal again."""
    found = await chaos(tmp_path, "outage", "--away", "10", "--rate", "4")
    figures = found["figures"]
    assert (found["holds"], figures["attempts"] > 0) == (True, True)
    assert {"CIRCUIT_OPEN"} <= figures["answers_while_away"].keys()


async def test_nobody_notices_that_everything_is_restarted(tmp_path: Path) -> None:
    """Each service once, of which two processes run."""
    found = await chaos(tmp_path, "rolling-restart", "--times", "2")
    assert (found["holds"], found["figures"]["client_visible_errors"]) == (True, 0)
    assert found["figures"]["requests_answered"] > 100


async def test_connections_that_are_reset_lose_nothing(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "network", "--bus", "postgres", "--fault", "reset")
    assert found["holds"] is True
    assert {each["edge"] for each in found["figures"]["faults"]} == {
        "client-order",
        "order-inventory",
        "services-postgres",
    }


async def test_what_nobody_should_send_is_answered_or_refused(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "bad-input", "--cases", "600")
    assert (found["holds"], found["figures"]["cases"]) == (True, 600)


async def test_a_log_that_is_emptied_is_filled_again(tmp_path: Path) -> None:
    """Every event that had been published by then is published again."""
    found = await chaos(tmp_path, "broker-wipe", "--times", "1")
    lost = sum(each["events_before"] for each in found["figures"]["breaks"])
    assert 0 < lost <= found["figures"]["republished_events"]


async def test_a_log_that_nobody_reads_is_not_noticed_by_customers(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "abuse", "--bus", "postgres", "--seconds", "3", "--attack", "log_stalled")
    assert (found["holds"], found["figures"]["attacks"][0]["orders"] > 0) == (True, True)
