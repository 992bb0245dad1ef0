"""Quantiles of a sample and their confidence intervals."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.analysis.quantiles import quantile, quantile_interval

_values = st.lists(st.floats(-1e6, 1e6), min_size=1).map(sorted)


@given(_values, st.floats(0, 1))
def test_a_quantile_lies_among_the_values(values: list[float], q: float) -> None:
    assert values[0] <= quantile(values, q) <= values[-1] or math.isclose(values[0], values[-1])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50).map(sorted))
def test_quantiles_are_those_of_the_standard_library(values: list[float]) -> None:
    expected = statistics.quantiles(values, n=4, method="inclusive")
    assert [quantile(values, q) for q in (0.25, 0.5, 0.75)] == pytest.approx(expected, abs=1e-6)


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_the_interval_of_a_median_has_the_ranks_of_the_tables() -> None:
    """Conover's tables give for n = 20 the 6th and the 15th value."""
    interval = quantile_interval([float(rank) for rank in range(1, 21)], 0.5)
    assert (interval.low, interval.high) == (6, 15)


def test_too_few_values_bound_a_high_quantile_on_one_side_only() -> None:
    interval = quantile_interval([float(rank) for rank in range(1, 101)], 0.99)
    assert interval.low is not None
    assert interval.high is None


@given(_values, st.floats(0.01, 0.99))
def test_the_bounds_are_values_in_order(values: list[float], q: float) -> None:
    interval = quantile_interval(values, q)
    known = [bound for bound in (interval.low, interval.high) if bound is not None]
    assert set(known) <= set(values)
    assert known == sorted(known)


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_the_quantile_interval_has_its_coverage(q: float) -> None:
    source = random.Random(7)
    true = -math.log(1 - q)
    covered = 0
    for _ in range(400):
        interval = quantile_interval(sorted(source.expovariate(1) for _ in range(500)), q)
        covered += (interval.low or 0) <= true <= (math.inf if interval.high is None else interval.high)
    assert covered / 400 >= 0.93


def test_many_values_cost_no_overflow() -> None:
    interval = quantile_interval([float(rank) for rank in range(500_000)], 0.99)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < 495_000 < interval.high
