"""Tests of goodput: which answers count, and how the others are named."""

import pytest

from observability.load.goodput import DEADLINE_SECONDS, answer_of, is_good
from tests.unit.load.records import record

LATE = DEADLINE_SECONDS + 0.1


@pytest.mark.parametrize(
    ("outcome", "latency", "good"),
    [
        ("confirmed", 0.1, True),
        ("confirmed", DEADLINE_SECONDS, True),
        ("confirmed", LATE, False),
        ("pending", 0.1, False),
        ("rejected", 0.1, False),
        ("error", 0.1, False),
        ("transport", 0.1, False),
    ],
)
def test_an_order_that_is_sold_in_time_is_good(outcome: str, latency: float, good: bool) -> None:
    assert is_good(record(outcome=outcome, latency=latency)) is good


def test_lateness_counts_from_when_the_order_was_due() -> None:
    assert not is_good(record(intended=1.0, lag=1.0, latency=LATE))


@pytest.mark.parametrize(("latency", "good"), [(0.1, True), (LATE, False)])
def test_a_pending_order_in_time_is_good_for_async_customers(latency: float, good: bool) -> None:
    assert is_good(record(outcome="pending", latency=latency), respond_async=True) is good


@pytest.mark.parametrize(
    ("outcome", "latency", "name"),
    [
        ("confirmed", 0.1, "sold"),
        ("confirmed", LATE, "sold too late"),
        ("pending", 0.1, "pending"),
        ("pending", LATE, "pending too late"),
        ("error", LATE, "SOME_REASON"),
    ],
)
def test_answer_of_names_each_outcome(outcome: str, latency: float, name: str) -> None:
    assert answer_of(record(outcome=outcome, latency=latency)) == name
