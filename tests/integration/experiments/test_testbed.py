"""Tests of the testbed: blocks with three services and with one process run on it, one after the other."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from observability.analysis.observation_folder import read_observation
from observability.experiments.experiment import HEALTHY, Demand, Variant
from observability.experiments.runner.block import Block, Schedule, run_block
from observability.experiments.runner.testbed import Testbed
from observability.experiments.runner.trial import silent
from observability.network.proxy import Delay

# A rate that a slow machine serves, too.
SCHEDULE = Schedule(
    rate_per_second=2.0, warm_up_seconds=0.0, duration_seconds=4.0, seed=1, demand=Demand(utilisation=0.5)
)
MOST_BLOCKS = 20
BESIDE_THE_SHOP = {"receiver", "postgres", "valkey-server"}
MAIL_WAY_SECONDS = 0.01
# The greeting, and then a command and its answer for the name, sender, recipient, data and their end.
MAIL_WAYS = 1 + 2 * 5

pytestmark = [pytest.mark.full, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Testbed]:
    """One of its own."""
    async with Testbed.open(tmp_path_factory.mktemp("testbed")) as opened:
        yield opened


async def block(
    testbed: Testbed, variant: Variant, *, observation: Path | None = None, own_time: str | None = None
) -> Block:
    """Run a short one."""
    return await run_block(testbed, variant, SCHEDULE, observation=observation, own_time=own_time, on_progress=silent)


async def served(testbed: Testbed, variant: Variant) -> Block:
    """Run short blocks until one has a good order: on a busy machine all of one may be rejected, or late."""
    for _ in range(MOST_BLOCKS):
        found = await block(testbed, variant)
        if found.good_orders:
            return found
    raise AssertionError(f"{MOST_BLOCKS} blocks had no good order")


async def test_one_process_serves_the_orders_that_three_have_served(testbed: Testbed) -> None:
    services = await served(testbed, HEALTHY)
    monolith = await served(testbed, Variant(mode="monolith"))
    assert services.cpu_seconds.keys() == {"inventory", "order", "notification", *BESIDE_THE_SHOP}
    assert monolith.cpu_seconds.keys() == {"monolith", *BESIDE_THE_SHOP}
    assert services.orders == monolith.orders > 0


async def test_a_monolith_can_be_observed(testbed: Testbed, tmp_path: Path) -> None:
    await block(testbed, Variant(mode="monolith"), observation=tmp_path / "seen")
    for name in ("scrapes", "processes"):
        assert '"monolith"' in (tmp_path / "seen" / f"{name}.jsonl").read_text()


async def test_mail_takes_the_round_trip_time_of_the_variant(testbed: Testbed) -> None:
    far = Variant(network={"notification-mail": Delay(latency_seconds=MAIL_WAY_SECONDS)})
    sent = await block(testbed, far, own_time="notification.send_confirmation")
    assert sent.own_seconds is not None
    assert sent.own_seconds >= MAIL_WAYS * MAIL_WAY_SECONDS


async def test_hints_are_read_from_replicas_where_the_variant_has_them(tmp_path: Path) -> None:
    reads = dict[int, float]()
    async with Testbed.open(tmp_path / "testbed", replicas=1) as replicated:
        for replicas in (0, 1):
            seen = tmp_path / f"seen-{replicas}"
            variant = Variant(replicas=replicas, environment={"inventory": {"INVENTORY_CACHE_URL": ""}})
            looks = replace(SCHEDULE, demand=Demand(utilisation=0.5, looked_at=100))
            await run_block(replicated, variant, looks, observation=seen, on_progress=silent)
            last = [each for each in read_observation(seen).scrapes if each.target == "inventory"][-1].scrape
            counted = last.samples.get("shop_replica_reads_total", {})
            reads[replicas] = sum(count for labels, count in counted.items() if ("target", "replica") in labels)
    assert reads[0] == 0
    assert reads[1] > 0
