"""At which rate the busiest resource is as busy as wanted."""

from pathlib import Path

import pytest

from observability.lab.trial.calibration import IDLE_UTILISATION, Demands, demands, rate_for
from tests.unit.trial.making import block, write_observation

CORE = Demands(cpu_seconds=0.02, pool_seconds=(), probe_utilisation=0.3)
POOL = Demands(cpu_seconds=0.001, pool_seconds=(0.01, 0.05), probe_utilisation=0.2)


@pytest.mark.parametrize("utilisation", [0.2, 0.5, 0.65, 0.8, 0.95])
@pytest.mark.parametrize("asked", [CORE, POOL], ids=["core", "pool"])
def test_the_rate_is_the_one_at_which_the_busiest_is_so_busy(asked: Demands, utilisation: float) -> None:
    assert asked.utilisation(rate_for(asked, utilisation)) == pytest.approx(utilisation)


def test_on_the_core_orders_come_on_top_of_what_the_platform_does_anyway() -> None:
    assert rate_for(CORE, 0.7) == pytest.approx((0.7 - IDLE_UTILISATION) / 0.02)


def test_the_pool_that_is_held_longest_binds_before_the_core() -> None:
    assert rate_for(POOL, 0.7) < rate_for(Demands(0.001, (0.01,), 0.2), 0.7) < rate_for(Demands(0.001, (), 0.2), 0.7)


def test_connections_are_held_longer_on_a_busier_core() -> None:
    busy = Demands(cpu_seconds=0.01, pool_seconds=(0.02,), probe_utilisation=0.1)
    assert busy.utilisation(40) > 2 * busy.utilisation(20)


def test_a_probe_tells_what_an_order_takes_beyond_what_the_platform_does_anyway(tmp_path: Path) -> None:
    write_observation(tmp_path / "seen")
    probe = block(1, "before", [0.1] * 100).block
    found = demands(probe, 100, tmp_path / "seen")
    assert found.cpu_seconds == pytest.approx((4.5 - IDLE_UTILISATION * 9.0) / 100)
    assert found.probe_utilisation == 0.5
    assert len(found.pool_seconds) == 1
