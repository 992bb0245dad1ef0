"""Tests of the generator against an edge with known stalls: it measures the waits that customers would have.

The edge stalls for the first 0.2 s of each 0.5 s. Of orders that are due evenly over time, a share (0.2 - x) / 0.5
waits longer than x: the 95th and 99th percentiles are 0.175 and 0.195 s. A thousand orders give the 95th to about 2 %
by chance. Less than nine tenths of it is a wait that was missed. A busy machine can only add, up to where the run calls
itself invalid, and by as much as the edge itself stood still.
"""

import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from uuid import uuid4

import pytest

from observability.load.arrival_plan import plan_orders, plan_requests
from observability.load.errors import LoadError, LoadUsageError
from observability.load.host_usage import default_cpu
from observability.load.in_flight import gauge_total
from observability.load.options import LoadOptions, Progress
from observability.load.orders import BasketLine, PlannedOrder
from observability.load.result import LoadResult
from observability.load.runner import run_closed, run_open
from observability.load.validity_checks import Gate, GateStatus
from tests.integration.load.conftest import StartEdge
from tests.integration.load.stalling_edge import HELD, LATE
from tests.patience import PATIENCE_SECONDS

PERIOD_SECONDS, STALL_SECONDS = 0.5, 0.2
# On a busy machine a run may take too few samples of the server for the check of its count.
MOST_RUNS = 20
KNOWN_P95, KNOWN_P99 = 0.175, 0.195


def options(edge: str, *, concurrency: int | None = None, admin: str | None = None) -> LoadOptions:
    return LoadOptions(
        target=edge,
        seed=1,
        run_nonce=uuid4().hex,
        concurrency=concurrency,
        admin_address=admin,
        cpu=default_cpu(),
        request_timeout_seconds=PATIENCE_SECONDS,
    )


def count_check(result: LoadResult) -> Gate:
    """Return the result of the check that the server's own count agrees."""
    return next(gate for gate in result.gates if gate.name == "in flight at the server")


def checked_runs(plan: list[PlannedOrder], edge: str, *, admin: str) -> Iterator[LoadResult]:
    """Run the plan, at most so many times; yield each run in which the server's count could be checked."""
    for _ in range(MOST_RUNS):
        result = run_open(plan, options(edge, admin=admin))
        if count_check(result).status is not GateStatus.NOT_CHECKED:
            yield result


def gauge_of(edge: str, name: str) -> float:
    """Return what the edge has measured of itself."""
    with urllib.request.urlopen(f"http://{edge}/metrics", timeout=PATIENCE_SECONDS) as answer:
        found = gauge_total(answer.read().decode(), name)
    assert found is not None
    return found


def orders_of(*skus: str) -> list[PlannedOrder]:
    return plan_requests(requests=len(skus), seed=1, baskets=[(BasketLine(sku, 1),) for sku in skus])


@pytest.fixture(scope="module")
def plan() -> list[PlannedOrder]:
    return plan_orders(rate_per_second=150, duration_seconds=7, seed=2)


@pytest.mark.full
def test_an_open_loop_measures_known_quantiles(start_edge: StartEdge, plan: list[PlannedOrder]) -> None:
    """One run of seconds shows both, so one test asserts both."""
    edge = start_edge(PERIOD_SECONDS, STALL_SECONDS)
    for result in islice(checked_runs(plan, edge, admin=edge), 3):
        latency = result.summary().latency
        assert latency is not None
        assert latency.p95 > 0.9 * KNOWN_P95
        assert latency.p99 > 0.9 * KNOWN_P99
        assert result.summary().confirmed == result.scheduled
        if not result.invalid_because:
            assert latency.p99 < 2 * KNOWN_P99 + gauge_of(edge, LATE)
            return


def test_a_closed_loop_misses_the_wait_that_the_open_loop_sees(start_edge: StartEdge) -> None:
    """One customer meets a stall once, however many orders would have come meanwhile."""
    edge = start_edge(PERIOD_SECONDS, STALL_SECONDS)
    result = run_closed(plan_requests(requests=1_000, seed=2), options(edge, concurrency=1))
    # The waits of one customer do not overlap, so that all of them together are no longer than the run.
    assert sum(record.latency_seconds for record in result.records) <= result.elapsed_seconds
    assert gauge_of(edge, HELD) <= result.elapsed_seconds / PERIOD_SECONDS + 1


@pytest.mark.full
def test_a_server_whose_count_disagrees_makes_the_run_invalid(start_edge: StartEdge, plan: list[PlannedOrder]) -> None:
    """This happens when another process is sampled, or requests wait where the server does not count them."""
    edge, idle = start_edge(PERIOD_SECONDS, STALL_SECONDS), start_edge(1.0, 0.0)
    result = next(checked_runs(plan, edge, admin=idle))
    assert count_check(result).status is GateStatus.FAILED
    assert any("in flight at the server" in reason for reason in result.invalid_because)


def test_an_edge_that_falls_behind_makes_the_run_invalid(start_edge: StartEdge) -> None:
    edge = start_edge(100.0, 3.0)
    result = run_open(plan_orders(rate_per_second=100, duration_seconds=2, seed=1), options(edge))
    assert any(reason.startswith("backlog") for reason in result.invalid_because)


def test_each_answer_is_counted_by_its_kind(prompt_edge: str) -> None:
    """The edge rejects a repeated key and a request with trace headers, so a confirmed order had neither."""
    result = run_closed(orders_of("OK", "SHORT", "UNKNOWN", "PENDING", "BUSY"), options(prompt_edge, concurrency=2))
    summary = result.summary()
    assert (summary.confirmed, summary.pending) == (1, 1)
    assert summary.rejected_by_reason == {"OUT_OF_STOCK": 1, "SKU_NOT_FOUND": 1}
    assert summary.errors_by_reason == {"OVERLOADED": 1}


def test_a_closed_loop_sends_every_order_once(prompt_edge: str) -> None:
    result = run_closed(plan_requests(requests=500, seed=1), options(prompt_edge, concurrency=16))
    assert sorted(record.index for record in result.records) == list(range(500))


def test_a_closed_loop_ends_after_its_duration_and_its_answers(prompt_edge: str) -> None:
    timed = replace(options(prompt_edge, concurrency=2), duration_seconds=0.5)
    result = run_closed(plan_requests(requests=5_000, seed=1), timed)
    assert 0 < len(result.records) < 5_000
    # Each customer may have looked at the clock just before the end, and sent its last order just after.
    assert sum(record.sent_seconds >= 0.5 for record in result.records) <= 2
    assert result.summary().confirmed == len(result.records)


def test_a_timed_out_order_is_recorded_and_not_repeated(start_edge: StartEdge) -> None:
    edge = start_edge(2 * PATIENCE_SECONDS, PATIENCE_SECONDS)
    impatient = LoadOptions(target=edge, seed=1, run_nonce="n", concurrency=2, request_timeout_seconds=0.2)
    with pytest.raises(LoadError, match=r"none of 2 orders was answered .*TIMEOUT"):
        run_closed(orders_of("OK", "OK"), impatient)


def test_progress_ends_with_every_order_done(prompt_edge: str) -> None:
    seen: list[Progress] = []
    run_open(plan_orders(rate_per_second=50, duration_seconds=1, seed=1), options(prompt_edge), on_progress=seen.append)
    assert seen[-1].done == seen[-1].sent == seen[-1].scheduled


def test_a_target_without_a_listener_is_a_clear_error() -> None:
    with pytest.raises(LoadError, match="plumb up"):
        run_open(orders_of("OK"), options("127.0.0.1:1"))


@pytest.mark.parametrize("target", ["here", "host:", ":80", "host:http"])
def test_a_target_that_is_no_address_is_refused(target: str) -> None:
    with pytest.raises(LoadUsageError, match="HOST:PORT"):
        run_open(orders_of("OK"), options(target))


@pytest.mark.parametrize("concurrency", [None, 0, -1, 5_000])
def test_an_impossible_concurrency_is_refused(concurrency: int | None) -> None:
    with pytest.raises(LoadUsageError, match="--concurrency"):
        run_closed(orders_of("OK"), options("127.0.0.1:1", concurrency=concurrency))
