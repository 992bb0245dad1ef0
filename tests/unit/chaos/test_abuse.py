"""Tests of the abuse campaign's figures on honest customers."""

from observability.chaos.campaigns.abuse import Window, impact_of
from observability.chaos.honest_customers import HonestOrder, goodput
from observability.testbed.requests import Response

SOLD = Response(known=True, order_id="1", state="CONFIRMED")
OVERLOADED = Response(known=False, reason="OVERLOADED")


def test_goodput_counts_orders_that_are_sold_in_time() -> None:
    orders = [HonestOrder(0.0, 0.1, SOLD), HonestOrder(1.0, 2.5, SOLD), HonestOrder(2.0, 0.1, OVERLOADED)]
    assert goodput(orders) == 1 / 3


def test_goodput_without_orders_is_zero() -> None:
    assert goodput([]) == 0.0


def test_impact_of_counts_the_orders_that_were_due_in_the_attack() -> None:
    orders = [HonestOrder(0.5, 0.1, SOLD), HonestOrder(1.0, 0.2, SOLD), HonestOrder(1.5, 0.4, OVERLOADED)]
    found = impact_of(Window("headers_only", 1.0, 2.0, {"closed": 20}), orders, normal=1.0)
    assert found == {
        "attack": "headers_only",
        "orders": 2,
        "goodput_ratio": 0.5,
        "p50_ms": found["p50_ms"],
        "p95_ms": found["p95_ms"],
        "not_sold": {"OVERLOADED": 1},
        "attackers_were_answered": {"closed": 20},
    }
