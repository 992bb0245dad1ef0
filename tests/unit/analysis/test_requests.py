"""Selection of the traces that are requests."""

import pytest

from observability.analysis.requests import (
    longest,
    rate_per_second,
    requests_of,
    seconds,
)
from tests.unit.analysis.seeing import call, request, seen, serve, step, trace_of

# --- How many ---------------------------------------------------------------------------------------------------------


def test_a_rate_is_that_of_the_beginnings() -> None:
    """Three, each half a second after the one before."""
    observation = seen(*(serve("GET /", start, start + 7) for start in (0, 500, 1000)))
    assert rate_per_second(requests_of(observation.traces)) == pytest.approx(2.0)


def test_requests_that_began_at_once_have_no_rate() -> None:
    assert rate_per_second(requests_of(seen(request(1), request(2)).traces)) is None


# --- Which ------------------------------------------------------------------------------------------------------------


def test_requests_are_of_all_operations() -> None:
    requests = requests_of(seen(serve("GET /7", 0, 2), serve("GET /8", 0, 2), serve("GET /", 0, 3, service="b")).traces)
    assert [(each.service, each.operation) for each in requests] == [
        ("shop", "GET /{id}"),
        ("shop", "GET /{id}"),
        ("b", "GET /"),
    ]


def test_without_traces_there_are_none() -> None:
    assert requests_of([]) == ()


# --- What they waited for ---------------------------------------------------------------------------------------------


def test_a_request_takes_as_long_as_its_root() -> None:
    [only] = requests_of([trace_of(request(7))])
    assert only.seconds == 0.007


def test_path_spans_are_unique_and_in_order() -> None:
    inner = step("inner", 2, 3)
    [only] = requests_of([trace_of(request(6, step("outer", 1, 4, inner), call("beside", 1, 3)))])
    assert [node.span.name for node in only.waited_for()] == ["POST /things", "outer", "inner"]


def test_times_that_disagree_are_repaired() -> None:
    [only] = requests_of([trace_of(request(6, call("ask", 1, 5, serve("answer", 101, 103, service="other"))))])
    assert [node.span.name for node in only.waited_for()] == ["POST /things", "ask", "answer"]


def test_work_after_the_end_of_the_caller_is_wasted() -> None:
    [only] = requests_of([trace_of(request(6, step("late", 4, 9)))])
    assert (only.seconds, only.wasted_nanoseconds) == (0.006, 3_000_000)


def test_the_longest_are_named_by_trace_the_slowest_first() -> None:
    requests = requests_of(seen(request(2), request(9), request(5), request(7)).traces)
    assert longest(requests) == ("trace 1", "trace 3", "trace 2")


def test_seconds_add_up() -> None:
    assert seconds([request(1), request(2.5)]) == 0.0035
