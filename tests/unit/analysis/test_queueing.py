"""Mean waits in queues: by formula, by table and by simulation."""

import heapq
import math
import random
from collections.abc import Callable

import pytest

from observability.analysis.queueing import erlang_c, mean_wait_ggc, mean_wait_mg1, mean_wait_mmc, utilisation

_REQUESTS = 150_000


def _simulate(source: random.Random, *, rate_per_second: float, servers: int, serve: Callable[[], float]) -> float:
    """Give the mean wait in seconds of Poisson arrivals, first come, first served, each by the server free first."""
    free_at = [0.0] * servers
    now = waited = 0.0
    for _ in range(_REQUESTS):
        now += source.expovariate(rate_per_second)
        start = max(now, free_at[0])
        heapq.heapreplace(free_at, start + serve())
        waited += start - now
    return waited / _REQUESTS


def test_utilisation_is_work_a_second_over_servers() -> None:
    assert utilisation(rate_per_second=30, service_seconds=0.1, servers=4) == pytest.approx(0.75)


def test_utilisation_of_an_overload_says_how_much_too_much_comes() -> None:
    assert utilisation(rate_per_second=30, service_seconds=0.1, servers=2) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("offered_load", "servers", "expected"),
    [(0.5, 1, 0.5), (1, 2, 0.3333), (2, 3, 0.4444), (10, 14, 0.1741), (0, 3, 0.0)],
)
def test_the_chance_of_a_wait_is_that_of_the_tables(offered_load: float, servers: int, expected: float) -> None:
    assert erlang_c(offered_load=offered_load, servers=servers) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("offered_load", [2.0, 3.0])
def test_everyone_waits_in_an_overload(offered_load: float) -> None:
    assert erlang_c(offered_load=offered_load, servers=2) == 1


def test_a_thousand_servers_overflow_nothing() -> None:
    assert 0 < erlang_c(offered_load=980, servers=1_000) < 1


def test_one_busy_half_of_the_time_makes_wait_for_one_service() -> None:
    assert mean_wait_mmc(rate_per_second=5, service_seconds=0.1, servers=1) == pytest.approx(0.1)


def test_two_servers_at_half_make_wait_for_a_third_of_a_service() -> None:
    """Erlang C is 1/3, the service 0.1 s, and two servers have one to spare."""
    assert mean_wait_mmc(rate_per_second=10, service_seconds=0.1, servers=2) == pytest.approx(0.1 / 3)


def test_constant_service_halves_the_wait() -> None:
    assert mean_wait_mg1(rate_per_second=5, service_seconds=0.1, service_scv=0) == pytest.approx(0.05)


def test_exponential_service_by_one_is_the_same_queue_by_either_formula() -> None:
    general = mean_wait_mg1(rate_per_second=8, service_seconds=0.1, service_scv=1)
    assert general == pytest.approx(mean_wait_mmc(rate_per_second=8, service_seconds=0.1, servers=1))


def test_the_approximation_is_exact_for_exponential_service_by_several() -> None:
    general = mean_wait_ggc(rate_per_second=25, service_seconds=0.1, servers=3, arrival_scv=1, service_scv=1)
    assert general == pytest.approx(mean_wait_mmc(rate_per_second=25, service_seconds=0.1, servers=3))


def test_the_approximation_is_exact_for_any_service_by_one() -> None:
    general = mean_wait_ggc(rate_per_second=8, service_seconds=0.1, servers=1, arrival_scv=1, service_scv=4)
    assert general == pytest.approx(mean_wait_mg1(rate_per_second=8, service_seconds=0.1, service_scv=4))


def test_where_nothing_varies_nobody_waits() -> None:
    assert mean_wait_ggc(rate_per_second=9, service_seconds=0.1, servers=1, arrival_scv=0, service_scv=0) == 0


def test_where_nothing_comes_nobody_waits() -> None:
    assert mean_wait_mmc(rate_per_second=0, service_seconds=0.1, servers=2) == 0


@pytest.mark.parametrize("rate_per_second", [20, 21])
def test_several_that_cannot_keep_up_make_wait_for_ever(rate_per_second: float) -> None:
    assert mean_wait_mmc(rate_per_second=rate_per_second, service_seconds=0.1, servers=2) == math.inf


@pytest.mark.parametrize("rate_per_second", [10, 11])
def test_one_that_cannot_keep_up_makes_wait_for_ever(rate_per_second: float) -> None:
    assert mean_wait_mg1(rate_per_second=rate_per_second, service_seconds=0.1, service_scv=0) == math.inf


def test_an_overload_without_variation_makes_wait_for_ever() -> None:
    wait = mean_wait_ggc(rate_per_second=21, service_seconds=0.1, servers=2, arrival_scv=0, service_scv=0)
    assert wait == math.inf


def test_a_simulated_queue_of_two_servers_agrees() -> None:
    source = random.Random(1)
    simulated = _simulate(source, rate_per_second=15, servers=2, serve=lambda: source.expovariate(10))
    assert simulated == pytest.approx(mean_wait_mmc(rate_per_second=15, service_seconds=0.1, servers=2), rel=0.10)


def test_a_simulated_queue_of_uneven_service_agrees() -> None:
    """One request in ten takes 0.55 s and the others 0.05 s: 0.1 s on average, with a squared variation of 2.25."""
    source = random.Random(2)
    simulated = _simulate(source, rate_per_second=7, servers=1, serve=lambda: 0.55 if source.random() < 0.1 else 0.05)
    assert simulated == pytest.approx(mean_wait_mg1(rate_per_second=7, service_seconds=0.1, service_scv=2.25), rel=0.10)


def test_a_simulated_queue_of_constant_service_agrees() -> None:
    simulated = _simulate(random.Random(3), rate_per_second=8, servers=1, serve=lambda: 0.1)
    assert simulated == pytest.approx(mean_wait_mg1(rate_per_second=8, service_seconds=0.1, service_scv=0), rel=0.10)


def test_the_approximation_is_near_a_simulation_of_two_servers_with_constant_service() -> None:
    simulated = _simulate(random.Random(4), rate_per_second=16, servers=2, serve=lambda: 0.1)
    approximate = mean_wait_ggc(rate_per_second=16, service_seconds=0.1, servers=2, arrival_scv=1, service_scv=0)
    assert simulated == pytest.approx(approximate, rel=0.10)


@pytest.mark.parametrize("value", [-1, math.inf, math.nan])
@pytest.mark.parametrize("name", ["rate_per_second", "service_seconds", "arrival_scv", "service_scv"])
def test_what_is_negative_or_endless_is_refused_by_name(name: str, value: float) -> None:
    arguments = {"rate_per_second": 1.0, "service_seconds": 0.1, "arrival_scv": 1.0, "service_scv": 1.0, name: value}
    with pytest.raises(ValueError, match=f"{name} must be finite and not negative"):
        mean_wait_ggc(servers=2, **arguments)


def test_a_negative_variation_of_service_is_refused() -> None:
    with pytest.raises(ValueError, match="service_scv must be finite and not negative"):
        mean_wait_mg1(rate_per_second=1, service_seconds=0.1, service_scv=-1)


def test_a_negative_load_is_refused() -> None:
    with pytest.raises(ValueError, match="offered_load must be finite and not negative"):
        erlang_c(offered_load=-1, servers=2)


@pytest.mark.parametrize("servers", [0, -1])
def test_a_queue_needs_a_server(servers: int) -> None:
    with pytest.raises(ValueError, match="servers must be at least 1"):
        mean_wait_mmc(rate_per_second=1, service_seconds=0.1, servers=servers)
