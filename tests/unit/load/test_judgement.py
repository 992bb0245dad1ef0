"""Tests of the judgement on a run: its counts add up, and it names the cause of failures and a rate without any."""

import re

import pytest

from observability.load.host_usage import HostUse
from observability.load.judgement import OfferedLoad, count_orders, judge
from observability.load.result import LoadSummary

REJECTED = {"OUT_OF_STOCK": 37}


def run(*, sold: int, pending: int = 0, seconds: float = 30.0, **failed: int) -> LoadSummary:
    """Return a run in which 37 orders ran out of stock; failures by reason, TIMEOUT without an answer."""
    unanswered = {reason: count for reason, count in failed.items() if reason == "TIMEOUT"}
    errors = {reason: count for reason, count in failed.items() if reason != "TIMEOUT"}
    sent = sold + pending + sum(failed.values()) + 37
    answered, sold_per_second = (sent - sum(unanswered.values())) / seconds, sold / seconds
    return LoadSummary(
        sent, sent, sold, pending, REJECTED, errors, unanswered, answered, sold_per_second, None, {}, None
    )


def judged(
    summary: LoadSummary, *, rate: float | None = 26.0, capacity: float | None = None, waited: float = 21.0
) -> str:
    host = HostUse(None, 0.0, None, {"order": waited / 3, "inventory": 2 * waited / 3}, None, None, 0.0)
    return judge(summary, host, OfferedLoad(rate_per_second=rate, capacity_per_second=capacity), elapsed_seconds=30.0)


def test_the_parts_of_the_count_add_up_to_the_orders_sent() -> None:
    """46 pending orders were missing from a headline once."""
    judgement = count_orders(run(sold=379, pending=46, OVERLOADED=364, TIMEOUT=3))
    assert judgement == (
        "829 orders: 379 sold, 37 rejected (OUT_OF_STOCK 37), 46 pending, 367 failed (OVERLOADED 364, TIMEOUT 3)"
    )
    sent, *parts = (int(each) for each in re.findall(r"(\d+) (?:orders|sold|rejected|pending|failed)", judgement))
    assert sum(parts) == sent


def test_an_order_that_ran_out_of_stock_did_not_fail() -> None:
    assert judged(run(sold=700)) == "No order failed."


def test_a_rate_beyond_capacity_is_named_with_one_within_it() -> None:
    """360 sold or rejected in 30 s are 12 a second."""
    assert judged(run(sold=323, OVERLOADED=364)) == (
        "364 of 724 orders were rejected by overload protection or timed out: this machine sells about 12 a second, and"
        " 26 were offered; its services waited 21 s for a core; at 6 a second none would be."
    )


def test_rejected_connections_count_as_overload() -> None:
    """The edge takes 1,000 connections of an address, fewer than a run may open."""
    judgement = judged(run(sold=1_463, TOO_MANY_CONNECTIONS=1_500), rate=None)
    assert judgement == (
        "1,500 of 3,000 orders were rejected by overload protection or timed out while about 50 a second were served;"
        " its services waited 21 s for a core; with fewer concurrent customers none would be."
    )


def test_pending_orders_count_as_served() -> None:
    """An overloaded platform sold 12 orders at once and accepted 251: its capacity is not 0.4 a second."""
    judgement = judged(run(sold=12, pending=251, OVERLOADED=447))
    assert "sells about 10 a second" in judgement


def test_a_machine_that_became_slower_is_judged_by_the_run() -> None:
    assert "sells about 12 a second, and 26 were offered" in judged(run(sold=323, OVERLOADED=364), capacity=60.0)


def test_a_negligible_wait_for_a_core_is_not_mentioned() -> None:
    assert "waited" not in judged(run(sold=363, OVERLOADED=364), waited=0.5)


def test_a_rate_near_the_measured_capacity_is_compared_with_it() -> None:
    judgement = judged(run(sold=730, OVERLOADED=2), capacity=30.0)
    assert "sells about 30 a second, and 26 were offered" in judgement
    assert "at 15 a second none would be" in judgement


def test_a_few_failures_at_a_low_rate_are_a_short_disturbance() -> None:
    judgement = judged(run(sold=730, OVERLOADED=2), capacity=60.0)
    assert (
        "2 of 769 orders were rejected by overload protection or timed out in a moment when the machine had other work"
        in judgement
    )


def test_failures_not_caused_by_the_rate_are_listed_apart() -> None:
    judgement = judged(run(sold=323, OVERLOADED=364, INTERNAL=2))
    assert "at 6 a second none would be." in judgement
    assert judgement.endswith("2 failed (INTERNAL 2) for another reason than the rate: see the services' logs.")


def test_a_closed_loop_has_no_rate() -> None:
    assert "fewer concurrent customers" in judged(run(sold=363, OVERLOADED=364), rate=None)


@pytest.mark.parametrize("reason", ["INTERRUPTED"])
def test_an_interrupted_order_did_not_fail(reason: str) -> None:
    assert judged(run(sold=363, **{reason: 4})) == "No order failed."
