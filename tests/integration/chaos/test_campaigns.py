"""One short campaign of each kind, run by its command: every invariant must hold."""

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


# Two servers of orders, each with a replica. Campaigns whose faults are those of servers run on such a platform, of
# which one server is a special case.
SCALED = ("--shards", "2", "--replicas", "1")
# Exit code of a campaign with too few kills to reach every point.
INCOMPLETE = 3


async def chaos(output: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run `plumb chaos`, which must exit with this code, and return its result."""
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


async def test_moves_of_logical_shards_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "move", "--mode", "monolith", "--kills", "4", "--seed", "2", code=INCOMPLETE)
    assert (found["holds"], found["total_kills"] >= 4) == (True, True)


async def test_a_storm_on_one_sku_sells_exactly_its_stock(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "storm", "--times", "1")
    assert found["holds"] is True


async def test_repeated_requests_and_deliveries_have_no_effect(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "duplicates", "--deliveries", "1000")
    assert (found["holds"], found["figures"]["repeated_deliveries"] >= 1000) == (True, True)


async def test_a_paused_relay_is_fenced(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "pause", "--most", "1", *SCALED)
    assert found["holds"] is True


async def test_a_database_that_ends_under_load_keeps_its_orders(tmp_path: Path) -> None:
    """Each of four servers with an orderly shutdown, and one as in a crash."""
    found = await chaos(tmp_path, "postgres-restart", "--times", "5", *SCALED)
    assert found["holds"] is True
    broken = [(each["server"], each["how"]) for each in found["figures"]["breaks"]]
    names = ("postgres", "postgres-1", "postgres-replica-1", "postgres-1-replica-1")
    assert broken == [*((name, "fast") for name in names), ("postgres", "immediate")]


async def test_the_breaker_opens_for_an_outage_and_closes_after_it(tmp_path: Path) -> None:
    """At a rate that a slow machine with neighbours serves: only then is each second normal again."""
    found = await chaos(tmp_path, "outage", "--away", "10", "--rate", "4")
    figures = found["figures"]
    assert (found["holds"], figures["attempts"] > 0) == (True, True)
    assert {"CIRCUIT_OPEN"} <= figures["answers_while_away"].keys()


async def test_a_rolling_restart_causes_no_visible_error(tmp_path: Path) -> None:
    """Each service once, of which two processes run."""
    found = await chaos(tmp_path, "rolling-restart", "--times", "2")
    assert (found["holds"], found["figures"]["client_visible_errors"]) == (True, 0)
    assert found["figures"]["requests_answered"] > 100


async def test_connections_that_are_reset_lose_nothing(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "network", "--bus", "postgres", "--fault", "reset", *SCALED)
    assert found["holds"] is True
    assert {each["path"] for each in found["figures"]["faults"]} == {
        "client-order",
        "order-inventory",
        "services-postgres",
        "services-postgres-1",
        "services-postgres-replica-1",
        "services-postgres-1-replica-1",
    }


async def test_bad_input_is_answered_or_rejected(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "bad-input", "--cases", "600")
    assert (found["holds"], found["figures"]["cases"]) == (True, 600)


async def test_an_emptied_log_is_republished(tmp_path: Path) -> None:
    """Every event that had been published by then is published again."""
    found = await chaos(tmp_path, "broker-wipe", "--times", "1", *SCALED)
    lost = sum(each["events_before"] for each in found["figures"]["breaks"])
    assert 0 < lost <= found["figures"]["republished_events"]


async def test_a_stalled_log_is_not_noticed_by_customers(tmp_path: Path) -> None:
    found = await chaos(tmp_path, "abuse", "--bus", "postgres", "--seconds", "3", "--attack", "log_stalled")
    assert (found["holds"], found["figures"]["attacks"][0]["orders"] > 0) == (True, True)
