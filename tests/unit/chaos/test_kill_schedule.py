"""Tests of the kill schedule: each point has its kill, and a repeated round is the same."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.chaos.crash_point_catalog import Point, points_of
from observability.chaos.kill_schedule import divide, plan_round, rounds_to_cover
from services.local.platform.endpoints import Bus, Mode

POINTS = {"order": tuple(Point(f"o{number}") for number in range(20)), "inventory": (Point("i0"), Point("i1"))}


def test_a_round_is_the_same_each_time() -> None:
    assert plan_round(POINTS, seed=3, number=2, kills=12) == plan_round(POINTS, seed=3, number=2, kills=12)


def test_another_seed_draws_another_order() -> None:
    assert plan_round(POINTS, seed=3, number=0, kills=12) != plan_round(POINTS, seed=4, number=0, kills=12)


def test_a_round_continues_where_the_one_before_ended() -> None:
    """Two rounds of ten are one of twenty."""
    one = plan_round(POINTS, seed=1, number=0, kills=20)["order"]
    share = len(plan_round(POINTS, seed=1, number=0, kills=10)["order"])
    two = [planned for number in (0, 1) for planned in plan_round(POINTS, seed=1, number=number, kills=10)["order"]]
    assert tuple(two) == one[: 2 * share]


@pytest.mark.parametrize("mode", ["services", "monolith"])
@pytest.mark.parametrize("bus", ["postgres", "nats"])
def test_every_point_has_its_turn_within_the_promised_rounds(mode: Mode, bus: Bus) -> None:
    points = points_of(mode, bus)
    rounds = rounds_to_cover(points, kills=60)
    planned = [plan_round(points, seed=5, number=number, kills=60) for number in range(rounds)]
    for process, own in points.items():
        struck = {planned.point for each in planned for planned in each.get(process, ())}
        assert set(own) <= struck


def test_kills_are_planned_at_passages_that_occur() -> None:
    planned_kills = plan_round(POINTS, seed=1, number=0, kills=400)["order"]
    assert {planned.passage for planned in planned_kills if planned.point} == {1, 2, 3}


def test_some_later_kills_are_at_random_moments() -> None:
    counts = Counter(planned.point is None for planned in plan_round(POINTS, seed=1, number=0, kills=600)["order"])
    assert 0.1 < counts[True] / counts.total() < 0.3


@given(
    kills=st.integers(1, 500),
    weights=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 60), min_size=1),
)
def test_kills_are_divided_whole(kills: int, weights: dict[str, int]) -> None:
    """The shares add up, unless there are fewer kills than processes."""
    shares = divide(kills, weights)
    assert min(shares.values()) >= 1
    if kills >= len(weights):
        assert sum(shares.values()) == max(kills, len(weights))
