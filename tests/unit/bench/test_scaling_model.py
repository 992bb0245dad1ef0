"""Scaling model: known results of queueing theory, and its limits."""

import pytest

from observability.bench.scaling import ScalingFigures, drawn_shares, predict
from observability.bench.scaling_model import OrderDemand, most_per_second, orders_per_second, with_delay_of
from observability.bench.scaling_page import page

ONE = OrderDemand(server_seconds=0.1, processor_seconds=0.0, delay_seconds=0.0)
THINKING = OrderDemand(server_seconds=0.1, processor_seconds=0.0, delay_seconds=0.3)


def test_one_customer_never_waits() -> None:
    assert orders_per_second(THINKING, (1.0,), customers=1) == pytest.approx(1 / 0.4)


def test_one_server_without_delay_is_always_busy() -> None:
    assert orders_per_second(ONE, (1.0,), customers=7) == pytest.approx(10)


def test_equal_servers_without_delay_have_the_known_throughput() -> None:
    """N customers on n balanced servers: N / (N + n - 1) of n times the throughput of one."""
    assert orders_per_second(ONE, (0.25,) * 4, customers=5) == pytest.approx(40 * 5 / 8)


def test_two_customers_and_a_delay_have_the_known_throughput() -> None:
    """Machine repair: with two customers P(0) = 1 / (1 + 2 r + 2 r^2), where r = 0.1 / 0.3."""
    r = 0.1 / 0.3
    assert orders_per_second(THINKING, (1.0,), customers=2) == pytest.approx(10 * (1 - 1 / (1 + 2 * r + 2 * r * r)))


def test_many_customers_reach_the_limit_of_the_hottest_server() -> None:
    shares = (0.7, 0.3)
    assert most_per_second(THINKING, shares) == pytest.approx(1 / 0.07)
    assert orders_per_second(THINKING, shares, customers=200) == pytest.approx(most_per_second(THINKING, shares))


def test_a_shared_processor_limits_any_number_of_servers() -> None:
    shared = OrderDemand(server_seconds=0.1, processor_seconds=0.025, delay_seconds=0.0)
    assert orders_per_second(shared, (1 / 64,) * 64, customers=500) == pytest.approx(40)


def test_the_delay_is_found_from_a_measured_throughput() -> None:
    measured = orders_per_second(THINKING, (1.0,), customers=3)
    assert with_delay_of(ONE, customers=3, measured_per_second=measured).delay_seconds == pytest.approx(0.3)


def test_a_measured_throughput_beyond_the_model_leaves_no_delay() -> None:
    assert with_delay_of(ONE, customers=3, measured_per_second=20).delay_seconds == pytest.approx(0.0)


def figures(servers: int, sold_per_second: float) -> ScalingFigures:
    """Return a measurement of orders that hold a connection for 0.1 s and need 10 ms of processor."""
    return ScalingFigures(
        servers=servers,
        customers=3 * servers,
        sold_per_second=sold_per_second,
        server_seconds=0.1,
        processor_seconds=0.01,
    )


def test_more_servers_are_predicted_from_the_measurement_with_one() -> None:
    """Four servers sell nearly four times as much, until the shared processor is full."""
    alone, two, four, _, _, most = predict([figures(1, 8.0), figures(2, 15.0)], seed=1)
    assert alone.here_per_second == pytest.approx(8.0)
    assert two.error == pytest.approx(two.here_per_second / 15.0 - 1)
    assert 1.7 * 8 < two.here_per_second < 2 * 8
    assert 1.7 * 14 < four.here_per_second < 4 * 8
    assert four.measured_per_second is None
    assert most.servers == 256
    assert most.here_per_second == pytest.approx(1 / 0.01, rel=0.1)
    assert most.apart_per_second <= most.most_per_second < 256 / 0.1


def test_customers_load_servers_less_evenly_the_more_servers_there_are() -> None:
    ratios = [max(drawn_shares(servers, seed=1)) * servers for servers in (1, 4, 64)]
    assert ratios[0] == pytest.approx(1)
    assert ratios[0] < ratios[1] < ratios[2]


def test_the_page_has_no_error_of_what_the_model_was_fitted_to() -> None:
    measured = [figures(1, 8.0), figures(2, 15.0), figures(2, 13.0)]
    text = page(measured, predict(measured, seed=1), THINKING, {"commit": "abc"})
    one, two, four, *_ = (line for line in text.splitlines() if line.startswith("| ") and line[2].isdecimal())
    assert one.startswith("| 1 | 3 | 8.0 (8.0) | 8.0 |  |")
    assert two.startswith("| 2 | 6 | 14.0 (15.0, 13.0) | ")
    assert "%" in two
    assert four.startswith("| 4 | 12 |  | ")
    assert "commit: abc" in text
