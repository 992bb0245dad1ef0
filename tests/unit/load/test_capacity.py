"""Tests of capacity: the rate that a closed loop sold, and the rate planned from it."""

from dataclasses import replace

import pytest

from observability.load.arrival_plan import plan_requests
from observability.load.capacity import Capacity, capacity_of
from observability.load.generator_process import Load
from observability.load.host_usage import HostUse
from observability.load.outcomes import OutcomeKind
from observability.load.recorder import RequestRecord
from observability.load.result import LoadSummary

HOST = HostUse(None, 0.0, None, {}, None, None, 0.0)
SUMMARY = LoadSummary(0, 0, 0, 0, {}, {}, {}, 0.0, 0.0, None, {}, None)


def load(*requests: RequestRecord) -> Load:
    """Return the result of a generator."""
    return Load(0.0, 7.0, (), (), SUMMARY, HOST, requests)


def sold(done_seconds: float) -> RequestRecord:
    """Return one order that was confirmed at that moment."""
    return RequestRecord(0, 0.0, 0.0, done_seconds, OutcomeKind.CONFIRMED, "", 201, 1, "id")


def test_capacity_is_the_rate_sold_after_the_warm_up() -> None:
    """50 orders in the two seconds of the warm-up do not count; 100 in the five seconds after it do."""
    warm_up = [sold(0.04 * number) for number in range(1, 51)]
    counted = [sold(2 + 0.05 * number) for number in range(1, 101)]
    assert capacity_of(load(*warm_up, *counted)).sold_per_second == pytest.approx(20.0)


def test_orders_that_were_not_sold_do_not_count() -> None:
    refused = replace(sold(3.0), outcome=OutcomeKind.ERROR, reason="OVERLOADED", status=503)
    assert capacity_of(load(refused, sold(7.0))).sold_per_second == pytest.approx(0.2)


@pytest.mark.parametrize("done_seconds", [(), (1.5,)], ids=["nothing", "the warm-up alone"])
def test_no_sales_after_the_warm_up_mean_no_capacity(done_seconds: tuple[float, ...]) -> None:
    assert capacity_of(load(*map(sold, done_seconds))).sold_per_second == 0.0


def test_a_plan_that_ended_early_is_counted_until_its_end() -> None:
    assert capacity_of(load(*[sold(2 + 0.01 * number) for number in range(1, 101)])).sold_per_second == 100.0


@pytest.mark.parametrize(("sells", "rate"), [(24.9, 12.0), (7.3, 3.6), (0.19, 0.0)])
def test_the_rate_is_half_of_the_capacity_rounded_down(sells: float, rate: float) -> None:
    assert Capacity(sells, 100).rate_per_second == pytest.approx(rate)


def test_prefixed_orders_use_a_stock_of_their_own() -> None:
    plain, prefixed = plan_requests(requests=20, seed=1), plan_requests(requests=20, seed=1, sku_prefix="M")
    skus = [[line.sku for line in order.lines] for order in prefixed]
    assert skus == [[f"M{line.sku}" for line in order.lines] for order in plain]
    assert b'"sku":"M' in prefixed[0].body
