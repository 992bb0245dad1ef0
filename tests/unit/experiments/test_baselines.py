"""Baselines for the diagnosis: the operation that each of three simple rules names."""

from collections.abc import Sequence

import pytest

from observability.analysis.observation import Observation
from observability.analysis.waterfall import self_nanoseconds
from observability.experiments.runner.baselines import (
    Operation,
    largest_deviation,
    largest_path_growth,
    largest_self_time,
    path_seconds,
)
from tests.unit.analysis.making import node
from tests.unit.analysis.seeing import call, queries, query, request, seen, serve

NOTHING = seen()


def _took(*milliseconds: float, ask: Sequence[float] | None = None) -> Observation:
    """Return requests, each with a statement that took this long, and then a call that took `ask`, or 5 ms."""
    asked = ask or [5.0] * len(milliseconds)
    return seen(
        *[
            request(taken + then, query("SELECT item", 0, taken), call("ask", taken, taken + then))
            for taken, then in zip(milliseconds, asked, strict=True)
        ]
    )


# --- Largest self time ------------------------------------------------------------------------------------------------


def test_self_time_is_time_without_a_running_child() -> None:
    """Children at 1-4, 3-6 and 8-9 leave 0-1, 6-8 and 9-10."""
    assert self_nanoseconds(node("root", 0, 10, node("a", 1, 4), node("b", 3, 6), node("c", 8, 9))) == 4


def test_self_time_ignores_a_child_beyond_its_parent() -> None:
    assert self_nanoseconds(node("root", 0, 10, node("late", 7, 30), node("later", 20, 30))) == 7


def test_the_most_self_time_of_all_requests_together_is_named() -> None:
    """Three of 2 ms in each request are more than one of 5."""
    roots = [request(12, *queries("SELECT item", 3, each=2), call("ask", 6, 11))] * 2
    assert largest_self_time(seen(*roots)) == ("shop", "SELECT item")


def test_a_call_has_no_self_time_while_its_server_works() -> None:
    assert largest_self_time(seen(request(20, call("ask", 0, 20, serve("answer", 1, 19, service="stock"))))) == (
        "stock",
        "answer",
    )


def test_self_time_counts_off_the_critical_path() -> None:
    """The path leads through the longer call beside it, whose time is its servers'."""
    beside = call("beside", 0, 12)
    servers = [serve(f"answer {at}", at, at + 4, service="stock") for at in (0, 4, 8, 12)]
    assert largest_self_time(seen(request(16, beside, call("ask", 0, 16, *servers)))) == ("shop", "beside")


# --- Growth on the critical path --------------------------------------------------------------------------------------


def test_path_seconds_are_those_of_a_request_on_average() -> None:
    expected = {("shop", "SELECT item"): 0.015, ("shop", "ask"): 0.005}
    assert path_seconds(_took(10, 20)) == pytest.approx(expected)


def test_largest_growth_on_the_path_is_named() -> None:
    assert largest_path_growth(_took(11, 11, ask=[8, 8]), _took(10, 10)) == ("shop", "ask")


def test_a_new_operation_has_grown_by_all_of_its_time() -> None:
    letter = request(20, query("SELECT item", 0, 11), call("send letter", 11, 18))
    assert largest_path_growth(seen(letter), _took(10)) == ("shop", "send letter")


# --- Standard deviations ----------------------------------------------------------------------------------------------


def test_largest_deviation_is_named_rather_than_largest_growth() -> None:
    """The statement was 8 to 12 ms and is 20; the call was 4.9 to 5.1 and is 6."""
    healthy = _took(8, 12, 8, 12, ask=[4.9, 5.1, 4.9, 5.1])
    assert largest_deviation(_took(20, 20, ask=[6, 6]), healthy) == ("shop", "ask")


def test_a_mean_that_has_fallen_deviates_too() -> None:
    healthy = _took(8, 12, 8, 12, ask=[4.9, 5.1, 4.9, 5.1])
    assert largest_deviation(_took(9, 11, ask=[1, 1]), healthy) == ("shop", "ask")


def test_a_new_operation_has_no_deviation() -> None:
    healthy = _took(8, 12)
    letter = request(30, query("SELECT item", 0, 10.1), call("send letter", 11, 30))
    assert largest_deviation(seen(letter), healthy) == ("shop", "POST /things")


def test_an_operation_of_constant_time_has_no_deviation() -> None:
    assert largest_deviation(_took(10, 10, ask=[50, 50]), _took(10, 10)) is None


# --- All of them ------------------------------------------------------------------------------------------------------


def test_ties_are_broken_by_name() -> None:
    roots = [request(20, call(second, 0, 10), call(first, 10, 20)) for first, second in (("a", "b"), ("b", "a"))]
    assert {largest_self_time(seen(root)) for root in roots} == {("shop", "a")}


@pytest.mark.parametrize(
    "named", [largest_self_time(NOTHING), largest_path_growth(NOTHING, NOTHING), largest_deviation(NOTHING, NOTHING)]
)
def test_without_requests_nothing_is_named(named: Operation | None) -> None:
    assert named is None
