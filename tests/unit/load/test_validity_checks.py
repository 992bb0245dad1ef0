"""Tests of the validity checks: each gate passes a valid run and fails an invalid one."""

import pytest

from observability.load.in_flight import gauge_total
from observability.load.validity_checks import (
    GateStatus,
    backlog_gate,
    connections_gate,
    generator_cpu_gate,
    generator_failures,
    in_flight_gate,
    send_lag_gate,
    sent_gate,
)
from tests.unit.load.records import record, sampled, steady

PASSED, FAILED, NOT_CHECKED = GateStatus.PASSED, GateStatus.FAILED, GateStatus.NOT_CHECKED


@pytest.mark.parametrize(("sent", "status"), [(10, PASSED), (9, FAILED)])
def test_an_order_that_was_not_sent_fails_the_run(sent: int, status: GateStatus) -> None:
    assert sent_gate(scheduled=10, sent=sent).status is status


@pytest.mark.parametrize(
    ("lag", "latency", "status"),
    [(0.0029, 0.01, PASSED), (0.0031, 0.01, FAILED), (0.0045, 0.1, PASSED), (0.006, 0.1, FAILED)],
)
def test_the_send_lag_may_be_3_ms_or_a_twentieth_of_the_median(lag: float, latency: float, status: GateStatus) -> None:
    assert send_lag_gate([record(lag=lag, latency=latency)] * 100).status is status


@pytest.mark.parametrize(("lag", "status"), [(0.019, PASSED), (0.021, FAILED)])
def test_with_a_deadline_the_send_lag_may_be_a_hundredth_of_it(lag: float, status: GateStatus) -> None:
    assert send_lag_gate([record(lag=lag, latency=0.01)] * 100, deadline_seconds=2.0).status is status


@pytest.mark.parametrize(("busy_seconds", "status"), [(6.9, PASSED), (7.0, FAILED)])
def test_a_saturated_generator_fails_the_run(busy_seconds: float, status: GateStatus) -> None:
    assert generator_cpu_gate(busy_seconds=busy_seconds, elapsed_seconds=10).status is status


def test_a_platform_backlog_is_no_generator_failure() -> None:
    late = send_lag_gate([record(lag=0.01, latency=0.01)] * 100)
    behind = backlog_gate([record(intended=at / 10, latency=10.0) for at in range(100)], duration_seconds=10)
    assert (late.status, behind.status) == (FAILED, FAILED)
    assert generator_failures([sent_gate(scheduled=1, sent=1), behind]) == ()
    assert generator_failures([late, behind]) == (f"send lag: {late.sentence}",)


@pytest.mark.parametrize(("peak", "status"), [(64, PASSED), (65, FAILED)])
def test_more_in_flight_than_connections_fails_the_run(peak: int, status: GateStatus) -> None:
    assert connections_gate(peak_in_flight=peak, maximum_connections=64).status is status


def test_a_steady_backlog_passes() -> None:
    assert backlog_gate(steady(), duration_seconds=10).status is PASSED


def test_a_platform_that_falls_behind_by_a_tenth_fails() -> None:
    behind = [record(index, intended=index / 100, latency=0.05 + 0.1 * index / 100) for index in range(1_000)]
    assert backlog_gate(behind, duration_seconds=10).status is FAILED


@pytest.mark.parametrize(
    ("requests", "status"), [(5, PASSED), (5.4, PASSED), (4.6, PASSED), (7, FAILED), (3, FAILED), (0, FAILED)]
)
def test_the_servers_count_must_agree_with_rate_and_latency(requests: float, status: GateStatus) -> None:
    """100 orders a second of 50 ms are 5 in flight."""
    assert in_flight_gate(steady(), sampled(requests)).status is status


@pytest.mark.parametrize("count", [0, 19])
def test_a_server_sampled_too_seldom_is_not_checked(count: int) -> None:
    assert in_flight_gate(steady(), sampled(5, count=count)).status is NOT_CHECKED


def test_samples_that_vary_too_much_to_tell_are_not_checked() -> None:
    scattered = [*sampled(1, count=20), *sampled(9, count=20)]
    assert in_flight_gate(steady(), scattered).status is NOT_CHECKED


def test_latencies_mostly_outside_the_server_are_not_checked() -> None:
    assert in_flight_gate(steady(latency=0.001), sampled(0)).status is NOT_CHECKED


def test_the_gauge_is_added_up_over_its_label_sets() -> None:
    text = '# TYPE a gauge\na{context="order"} 2.0\na{context="edge",x="} "} 1.0 1.5\nab{context="order"} 8.0\n# EOF\n'
    assert gauge_total(text, "a") == 3


def test_a_gauge_is_read_or_unknown() -> None:
    assert (gauge_total("a 4\n", "a"), gauge_total("b 4\n", "a")) == (4, None)
