"""Tests of the benchmark's arithmetic: pairs by round, ratios by logarithm, intervals by Student's t."""

import math

import pytest

from observability.bench.paired import estimate
from observability.bench.telemetry_overhead import OverheadBlock, ratio, share


def blocks(**cpu_seconds: tuple[float, ...]) -> list[OverheadBlock]:
    """Return blocks in rounds."""
    return [OverheadBlock(name.replace("_", " "), value, 0) for name, values in cpu_seconds.items() for value in values]


def test_an_estimate_is_a_mean_with_students_interval() -> None:
    """Four values of mean 3 and deviation 1.826: 3.18 standard errors to each side."""
    found = estimate([1, 2, 4, 5])
    assert found.value == 3
    assert found.high - found.value == pytest.approx(3.182446 * math.sqrt(10 / 3) / 2)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_a_ratio_is_taken_pair_by_pair() -> None:
    """Rounds that all doubled give 2 without an interval, however different the rounds are."""
    found = ratio(blocks(all_on=(2.0, 8.0, 4.0), all_off=(1.0, 4.0, 2.0)), "all on", "all off")
    assert (found.low, found.value, found.high) == pytest.approx((2, 2, 2))


def test_a_share_is_the_extra_cost_of_a_round() -> None:
    """The difference of all on and the variant without the part."""
    found = share(blocks(all_on=(3.0, 5.0), logs_off=(2.0, 4.0)), "logs off")
    assert (found.low, found.value, found.high) == pytest.approx((1, 1, 1))
