"""The rate of a demo fits the machine, unless the user names one."""

from dataclasses import replace
from pathlib import Path

import pytest

from observability.demo.options import DemoError, DemoOptions
from observability.load.capacity import Capacity
from observability.load.errors import LoadUsageError

OPTIONS = DemoOptions(
    rate_per_second=None, duration_seconds=30.0, seed=1, mode="services", bus="postgres", output=Path("out")
)


@pytest.mark.parametrize(("sells", "rate"), [(24.0, 12.0), (2.0, 1.0), (400.0, 50.0)])
def test_the_rate_is_half_of_capacity_up_to_a_limit(sells: float, rate: float) -> None:
    assert OPTIONS.rate_on(Capacity(sells, 100)) == rate


@pytest.mark.parametrize("sells", [0.0, 1.9])
def test_a_machine_that_is_too_slow_is_an_error(sells: float) -> None:
    with pytest.raises(DemoError, match=rf"too slow for a demo now: it sells about {sells:.1f} orders a second"):
        OPTIONS.rate_on(Capacity(sells, 3))


def test_a_rate_that_the_user_names_wins() -> None:
    assert replace(OPTIONS, rate_per_second=60.0).rate_on(Capacity(0.1, 3)) == 60.0


def test_a_long_demo_runs_at_a_rate_whose_traces_can_be_kept() -> None:
    assert replace(OPTIONS, duration_seconds=1_000.0).rate_on(Capacity(400.0, 100)) == 20.0


def test_a_demo_whose_traces_cannot_be_kept_is_refused() -> None:
    with pytest.raises(LoadUsageError, match="more than the 20,000"):
        replace(OPTIONS, rate_per_second=50.0, duration_seconds=500.0).check()
