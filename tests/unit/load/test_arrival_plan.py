"""Tests of the arrival plan: its seed fixes it, and its arrivals have the given distribution."""

import itertools
import statistics
import uuid
from collections import Counter
from dataclasses import replace

import orjson
import pytest

from observability.load.arrival_plan import plan_orders, plan_requests, with_hot_customers
from observability.load.errors import LoadUsageError
from observability.load.orders import BasketLine
from tests.full import in_full

BASKETS = [(BasketLine("85123A", 6),), (BasketLine("71053"), BasketLine("84406B"))]


def test_the_same_seed_gives_the_same_plan() -> None:
    first, second = (plan_orders(rate_per_second=50, duration_seconds=5, seed=7) for _ in range(2))
    assert first == second


def test_another_seed_gives_another_plan() -> None:
    first, second = (plan_orders(rate_per_second=50, duration_seconds=5, seed=seed) for seed in (7, 8))
    assert [order.intended_seconds for order in first] != [order.intended_seconds for order in second]


def test_arrivals_do_not_depend_on_where_the_baskets_come_from() -> None:
    """Two blocks with different demand then have the same arrival times."""
    model = plan_orders(rate_per_second=50, duration_seconds=5, seed=7)
    from_file = plan_orders(rate_per_second=50, duration_seconds=5, seed=7, baskets=BASKETS)
    assert [order.intended_seconds for order in model] == [order.intended_seconds for order in from_file]


def test_gaps_between_arrivals_are_exponential() -> None:
    """An exponential distribution's standard deviation is its mean, and a share 1/e of it lies above the mean."""
    plan = plan_orders(rate_per_second=100, duration_seconds=100, seed=1, baskets=BASKETS)
    gaps = [after.intended_seconds - before.intended_seconds for before, after in itertools.pairwise(plan)]
    assert statistics.fmean(gaps) == pytest.approx(0.01, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(statistics.fmean(gaps), rel=0.05)
    assert sum(gap > 0.01 for gap in gaps) / len(gaps) == pytest.approx(0.368, rel=0.05)


@pytest.mark.parametrize("surge", [*in_full(1.0), 4.0])
def test_counted_arrivals_have_a_fixed_number_and_poisson_spread(surge: float) -> None:
    """The middle third has its share, and the gaps of each third are exponential."""
    rate, third = 100.0, 50.0
    for seed in range(3):
        plan = plan_orders(
            rate_per_second=rate, duration_seconds=3 * third, seed=seed, surge=surge, counted=True, baskets=BASKETS
        )
        due = [order.intended_seconds for order in plan]
        assert len(due) == round(rate * third * (2 + surge))
        assert due == sorted(due)
        assert 0 <= due[0] <= due[-1] < 3 * third
        middle = [at for at in due if third <= at < 2 * third]
        assert len(middle) == pytest.approx(rate * third * surge, rel=0.05)
        gaps = [after - before for before, after in itertools.pairwise(middle)]
        assert statistics.stdev(gaps) == pytest.approx(statistics.fmean(gaps), rel=0.08)


def test_all_orders_are_due_within_the_duration_and_in_order() -> None:
    due = [order.intended_seconds for order in plan_orders(rate_per_second=100, duration_seconds=3, seed=1)]
    assert due == sorted(due)
    assert 0 <= due[0] <= due[-1] < 3


def test_a_missing_quantity_is_drawn_and_others_are_kept() -> None:
    given, drawn = plan_requests(requests=2, seed=1, baskets=BASKETS)
    assert given.lines[0].quantity == 6
    assert all(1 <= line.quantity <= 600 for line in drawn.lines)


def test_a_closed_loop_repeats_the_baskets_in_order() -> None:
    plan = plan_requests(requests=3, seed=1, baskets=BASKETS)
    assert [order.lines[0].sku for order in plan] == ["85123A", "71053", "85123A"]


def test_the_body_is_the_edges_json() -> None:
    order = plan_requests(requests=1, seed=1, baskets=BASKETS)[0]
    assert orjson.loads(order.body) == {"lines": [{"sku": "85123A", "quantity": 6}]}


def test_customers_are_uuids() -> None:
    assert all(uuid.UUID(order.customer_id).version == 5 for order in plan_requests(requests=50, seed=1))


@pytest.mark.parametrize(
    ("rate_per_second", "duration_seconds", "says"),
    [
        (0, 5, "--rate must be above 0"),
        (-1, 5, "--rate must be above 0"),
        (float("nan"), 5, "--rate must be above 0"),
        (float("inf"), 5, "--rate must be above 0"),
        (5, 0, "--duration must be above 0"),
        (5, -2, "--duration must be above 0"),
        (1e6, 1e6, "too many"),
        (1e-9, 1, "has no order"),
    ],
)
def test_an_impossible_schedule_is_refused(rate_per_second: float, duration_seconds: float, says: str) -> None:
    with pytest.raises(LoadUsageError, match=says):
        plan_orders(rate_per_second=rate_per_second, duration_seconds=duration_seconds, seed=1)


@pytest.mark.parametrize("requests", [0, -1, 1_000_000])
def test_an_impossible_number_of_requests_is_refused(requests: int) -> None:
    with pytest.raises(LoadUsageError, match="--requests"):
        plan_requests(requests=requests, seed=1)


def test_a_read_names_distinct_skus_and_orders_nothing() -> None:
    plan = plan_orders(rate_per_second=50, duration_seconds=20, seed=7, lines=(2, 4), looked_at=10)
    assert all(order.looks for order in plan)
    looks = [[line.sku for line in order.lines] for order in plan]
    assert {len(look) for look in looks} == {2, 3, 4}
    assert all(len(set(look)) == len(look) for look in looks)
    assert len({sku for look in looks for sku in look}) == 10


def test_reads_arrive_when_orders_would() -> None:
    """Blocks of both kinds then have the same arrival times."""
    looks = plan_orders(rate_per_second=50, duration_seconds=5, seed=7, looked_at=10)
    orders = plan_orders(rate_per_second=50, duration_seconds=5, seed=7)
    assert [each.intended_seconds for each in looks] == [each.intended_seconds for each in orders]
    assert not any(each.looks for each in orders)


def test_hot_customers_send_their_share_of_the_same_requests() -> None:
    plan = plan_orders(rate_per_second=50, duration_seconds=40, seed=7)
    hot = with_hot_customers(plan, ("one", "two"), share=0.8, seed=7)
    counts = Counter(order.customer_id for order in hot)
    assert counts["one"] == pytest.approx(800, rel=0.1)
    assert counts["two"] == pytest.approx(800, rel=0.1)
    assert [replace(each, customer_id="") for each in hot] == [replace(each, customer_id="") for each in plan]
