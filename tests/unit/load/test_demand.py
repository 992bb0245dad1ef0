"""Tests of the demand model against the data set's published figures.

Tolerances for 20,000 baskets: quantiles within one unit or 10 %, shares and the mean within 8 %, the slope within 0.05.
"""

import math
import statistics
from collections import Counter

import pytest

from observability.load.demand import SKU_COUNT, draw_order, sku_of_rank, unit_price_minor
from observability.load.orders import PlannedLine, stream
from services.kernel.fields import SKU


@pytest.fixture(scope="module")
def orders() -> list[tuple[PlannedLine, ...]]:
    source = stream(1, "test")
    return [draw_order(source) for _ in range(20_000)]


@pytest.fixture(scope="module")
def lines(orders: list[tuple[PlannedLine, ...]]) -> list[PlannedLine]:
    return [line for order in orders for line in order]


def at(values: list[int], share: float) -> int:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@pytest.mark.parametrize(("share", "size"), [(0.10, 1), (0.25, 2), (0.50, 10), (0.75, 23), (0.90, 47), (0.99, 192)])
def test_basket_sizes_have_the_quantiles_of_the_figures(
    orders: list[tuple[PlannedLine, ...]], share: float, size: int
) -> None:
    assert at([len(order) for order in orders], share) == pytest.approx(size, rel=0.1, abs=1)


def test_the_mean_basket_has_about_21_lines(orders: list[tuple[PlannedLine, ...]]) -> None:
    assert statistics.fmean(len(order) for order in orders) == pytest.approx(20.9, rel=0.08)


def test_the_largest_basket_is_within_that_of_the_figures(orders: list[tuple[PlannedLine, ...]]) -> None:
    assert 500 < max(len(order) for order in orders) <= 1_114


@pytest.mark.parametrize(("top", "share"), [(1, 0.0043), (10, 0.032), (100, 0.188), (1_000, 0.719)])
def test_the_most_frequent_codes_have_their_share_of_lines(lines: list[PlannedLine], top: int, share: float) -> None:
    frequent = {sku_of_rank(rank) for rank in range(1, top + 1)}
    assert sum(line.sku in frequent for line in lines) / len(lines) == pytest.approx(share, rel=0.08)


def test_popularity_falls_with_the_slope_of_the_figures(lines: list[PlannedLine]) -> None:
    counts = sorted(Counter(line.sku for line in lines).values(), reverse=True)
    slope = statistics.linear_regression(
        [math.log(rank) for rank in range(2, 1_001)],
        [math.log(count) for count in counts[1:1_000]],
    ).slope
    assert slope == pytest.approx(-0.51, abs=0.05)


def test_the_most_frequent_code_is_in_a_share_of_baskets(orders: list[tuple[PlannedLine, ...]]) -> None:
    first = sku_of_rank(1)
    assert sum(any(line.sku == first for line in order) for order in orders) / len(orders) == pytest.approx(
        0.089, rel=0.08
    )


@pytest.mark.parametrize(("share", "units"), [(0.10, 1), (0.25, 2), (0.50, 4), (0.75, 12), (0.90, 24), (0.99, 144)])
def test_quantities_have_the_quantiles_of_the_figures(lines: list[PlannedLine], share: float, units: int) -> None:
    assert at([line.quantity for line in lines], share) == pytest.approx(units, rel=0.1, abs=1)


@pytest.mark.parametrize(
    ("share", "pence"), [(0.01, 29), (0.10, 85), (0.25, 125), (0.50, 210), (0.75, 375), (0.90, 595), (0.99, 1_495)]
)
def test_prices_have_the_quantiles_of_the_figures(share: float, pence: int) -> None:
    prices = [unit_price_minor(sku_of_rank(rank)) for rank in range(1, SKU_COUNT + 1)]
    assert at(prices, share) == pytest.approx(pence, rel=0.1, abs=1)


def test_an_order_has_each_sku_once(orders: list[tuple[PlannedLine, ...]]) -> None:
    assert all(len({line.sku for line in order}) == len(order) for order in orders)


def test_skus_are_well_formed_and_4070(lines: list[PlannedLine]) -> None:
    assert len({line.sku for line in lines}) <= SKU_COUNT
    assert all(SKU.fullmatch(sku) for sku in {line.sku for line in lines})
