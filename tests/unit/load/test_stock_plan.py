"""Tests of the stock plan: the given share of orders is rejected, spread over the run."""

import pytest

from observability.load.arrival_plan import plan_orders
from observability.load.errors import LoadUsageError
from observability.load.orders import PlannedLine, PlannedOrder, planned_order
from observability.load.stock_plan import ample_stock, plan_stock, simulate_rejections


def order(index: int, *lines: tuple[str, int]) -> PlannedOrder:
    made = tuple(PlannedLine(sku, quantity) for sku, quantity in lines)
    return planned_order(index=index, intended_seconds=float(index), customer_id="", lines=made)


@pytest.fixture(scope="module")
def plan() -> list[PlannedOrder]:
    return plan_orders(rate_per_second=25, duration_seconds=120, seed=5)


@pytest.mark.parametrize("share", [0.05, 0.10, 0.20])
def test_the_given_share_of_orders_is_rejected(plan: list[PlannedOrder], share: float) -> None:
    """Within a tenth of the share: one popular SKU more or less is a step."""
    stock = plan_stock(plan, out_of_stock_share=share, seed=5)
    assert stock.expected_rejections / stock.orders == pytest.approx(share, rel=0.1)


def test_rejections_are_spread_over_the_run(plan: list[PlannedOrder]) -> None:
    """Each quarter of the run has between half and one and a half times its share."""
    stock = plan_stock(plan, out_of_stock_share=0.10, seed=5)
    rejected = simulate_rejections(plan, {each.sku: each.quantity for each in stock.deliveries})
    quarters = [sum(index * 4 // len(plan) == quarter for index in rejected) for quarter in range(4)]
    assert all(0.5 < count * 4 / len(rejected) < 1.5 for count in quarters)


def test_every_planned_sku_is_delivered_once(plan: list[PlannedOrder]) -> None:
    delivered = [each.sku for each in plan_stock(plan, out_of_stock_share=0.10, seed=5).deliveries]
    assert delivered == sorted({line.sku for order in plan for line in order.lines})


def test_the_same_seed_gives_the_same_stock(plan: list[PlannedOrder]) -> None:
    first, second = (plan_stock(plan, out_of_stock_share=0.10, seed=5) for _ in range(2))
    assert first == second


def test_no_share_rejects_nothing(plan: list[PlannedOrder]) -> None:
    assert plan_stock(plan, out_of_stock_share=0, seed=5).expected_rejections == 0


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(plan: list[PlannedOrder], share: float) -> None:
    with pytest.raises(LoadUsageError, match="0 to 1"):
        plan_stock(plan, out_of_stock_share=share, seed=5)


def test_a_rejected_order_takes_none_of_its_lines() -> None:
    orders = [order(0, ("A", 5), ("B", 1)), order(1, ("A", 5))]
    assert simulate_rejections(orders, {"A": 5, "B": 0}) == [0]


def test_ample_stock_has_each_sku_once_with_a_price() -> None:
    deliveries = ample_stock(["22633", "22632", "22633"])
    assert [each.sku for each in deliveries] == ["22632", "22633"]
    assert all(each.unit_price_minor > 0 for each in deliveries)
