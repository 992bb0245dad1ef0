"""Calibration: the request rate at which the busiest resource reaches a given utilisation."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from observability.experiments.experiment import Demand
from observability.experiments.runner.block import Block, Schedule
from observability.experiments.runner.calibration import (
    IDLE_UTILISATION,
    PROBE_RATE_PER_SECOND,
    PROBE_WARM_UP_SECONDS,
    PoolBaseline,
    ResourceDemand,
    calibrate,
    demands,
    rate_for,
)
from tests.unit.experiments.making import BEGAN, block, pool_page, write_observation

CORE = ResourceDemand(cpu_seconds=0.02, pools=(), probe_utilisation=0.3)
POOL = ResourceDemand(
    cpu_seconds=0.001, pools=(PoolBaseline(0.0, 0.01), PoolBaseline(0.1, 0.05)), probe_utilisation=0.2
)


@pytest.mark.parametrize("utilisation", [0.2, 0.5, 0.65, 0.8, 0.95])
@pytest.mark.parametrize("asked", [CORE, POOL], ids=["core", "pool"])
def test_the_rate_is_the_one_at_which_the_busiest_is_so_busy(asked: ResourceDemand, utilisation: float) -> None:
    assert asked.utilisation(rate_for(asked, utilisation)) == pytest.approx(utilisation)


def test_core_utilisation_includes_the_idle_platform() -> None:
    assert rate_for(CORE, 0.7) == pytest.approx((0.7 - IDLE_UTILISATION) / 0.02)


def test_the_pool_that_is_held_longest_binds_before_the_core() -> None:
    one, none = (ResourceDemand(0.001, pools, 0.2) for pools in (POOL.pools[:1], ()))
    assert rate_for(POOL, 0.7) < rate_for(one, 0.7) < rate_for(none, 0.7)


def test_pool_utilisation_includes_idle_workers() -> None:
    """A tenth of it, and 5 orders a second that hold it for 50 ms each, on a core as busy as the probe's."""
    asked = ResourceDemand(
        cpu_seconds=0.001, pools=(PoolBaseline(0.1, 0.05),), probe_utilisation=IDLE_UTILISATION + 0.005
    )
    assert asked.utilisation(5.0) == pytest.approx(0.1 + 5 * 0.05)


def test_connections_are_held_longer_on_a_busier_core() -> None:
    busy = ResourceDemand(cpu_seconds=0.01, pools=(PoolBaseline(0.0, 0.02),), probe_utilisation=0.1)
    assert busy.utilisation(40) > 2 * busy.utilisation(20)


@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_an_overload_rate_is_a_multiple_of_capacity(factor: float) -> None:
    assert CORE.asked(rate_for(CORE, factor)) == pytest.approx(factor)
    assert rate_for(CORE, factor) == pytest.approx((factor - IDLE_UTILISATION) / 0.02)


def test_a_pool_that_limits_by_itself_is_overloaded() -> None:
    assert rate_for(POOL, 2.0) == pytest.approx((2.0 - 0.1) / 0.05)


def test_connections_held_for_a_full_core_are_no_limit() -> None:
    """At the rate that is wanted, twenty connections of a hundred are held for an order's own time."""
    both = ResourceDemand(cpu_seconds=0.02, pools=(PoolBaseline(0.0, 0.002),), probe_utilisation=0.2)
    assert rate_for(both, 2.0) == pytest.approx(rate_for(CORE, 2.0))


async def test_overload_is_calibrated_with_busier_probes(tmp_path: Path) -> None:
    """Of a second of the core 40 ms, then 20, then 19, which is about the same."""
    rates: list[float] = []
    seconds = (0.04, 0.02, 0.019)

    async def run(schedule: Schedule, seen: Path) -> Block:
        write_observation(seen)
        made = block(1, "before", [0.1] * 100).block
        used = 9.0 * IDLE_UTILISATION + 100 * seconds[len(rates)]
        rates.append(schedule.rate_per_second)
        return replace(made, cpu_seconds={"shop": used})

    rate = await calibrate(run, Demand(utilisation=2.0), seed=1, observation=tmp_path / "seen")
    busy = [(0.9 - IDLE_UTILISATION) / each for each in seconds[:2]]
    assert rates == [PROBE_RATE_PER_SECOND, *map(pytest.approx, busy)]
    assert rate == pytest.approx((2.0 - IDLE_UTILISATION) / 0.019, abs=0.01)


def test_a_probe_measures_demand_beyond_the_idle_platform(tmp_path: Path) -> None:
    write_observation(tmp_path / "seen")
    probe = block(1, "before", [0.1] * 100).block
    found = demands(probe, 100, tmp_path / "seen")
    assert found.cpu_seconds == pytest.approx((4.5 - IDLE_UTILISATION * 9.0) / 100)
    assert found.probe_utilisation == 0.5
    assert len(found.pools) == 1


def test_pool_use_of_idle_workers_is_not_demand_of_orders(tmp_path: Path) -> None:
    """A fifth of a connection for two seconds, then three fifths for eight, with 40 orders."""
    folder = tmp_path / "seen"
    write_observation(folder)
    scrapes = [(0.0, 0.0), (1.0, 0.2), (2.0, 0.4), (10.0, 5.2)]
    lines = [
        {"at": BEGAN + at, "target": "stock", "text": pool_page(waited=0.0, calls=10 * at, held=held, limit=2)}
        for at, held in scrapes
    ]
    (folder / "scrapes.jsonl").write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in lines))
    seen = {"from": BEGAN + 2.5 + PROBE_WARM_UP_SECONDS, "until": BEGAN + 10, "scheduled_rate_per_second": 5}
    (folder / "requests.json").write_bytes(orjson.dumps({**seen, "latencies_seconds": [0.1]}))
    (pool,) = demands(block(1, "before", [0.1] * 40).block, 40, folder).pools
    assert pool.idle_share == pytest.approx(0.1)
    assert pool.seconds == pytest.approx((5.2 - 0.2 * 10) / 40 / 2)


def test_use_of_a_limited_server_without_orders_is_not_demand_of_orders(tmp_path: Path) -> None:
    """A hundredth of a processor, much for cold connections, then six at five orders a second; the limit is ten."""
    folder = tmp_path / "seen"
    write_observation(folder)
    used = [(0.0, 0.0), (1.0, 0.01), (2.0, 0.02), (5.0, 0.5), (10.0, 0.8)]
    lines = [{"at": BEGAN + at, "target": "cadvisor", "text": container_page(seconds)} for at, seconds in used]
    (folder / "scrapes.jsonl").write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in lines))
    seen = {"from": BEGAN + 2.5 + PROBE_WARM_UP_SECONDS, "until": BEGAN + 10, "scheduled_rate_per_second": 5}
    (folder / "requests.json").write_bytes(orjson.dumps({**seen, "latencies_seconds": [0.1]}))
    (server,) = demands(block(1, "before", [0.1] * 40).block, 40, folder).limited
    assert server.idle_share == pytest.approx(0.1)
    assert server.seconds == pytest.approx((0.06 - 0.01) / 5 / 0.1)


def test_a_limited_server_binds_before_the_core() -> None:
    """Its work does not take longer on a busier core: its own limit is what it waits for."""
    asked = replace(CORE, limited=(PoolBaseline(0.2, 0.1),))
    assert rate_for(asked, 0.7) == pytest.approx((0.7 - 0.2) / 0.1)


def container_page(cpu_seconds: float) -> str:
    """Return the metrics of a container with a tenth of a processor."""
    values = {"usage_seconds_total": cpu_seconds, "quota": 1_000, "period": 10_000}
    names = {"usage_seconds_total": "container_cpu_usage_seconds_total"}
    return "".join(
        f'{names.get(name, f"container_spec_cpu_{name}")}{{container="postgres"}} {value}\n'
        for name, value in values.items()
    )
