"""Selection of the traces that are requests."""

import pytest

from observability.analysis.requests import (
    longest,
    rate_per_second,
    requests_of,
    seconds,
)
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node, Trace
from tests.unit.analysis.seeing import call, request, seen, serve, step, trace_of

# --- How many ---------------------------------------------------------------------------------------------------------


def test_a_rate_is_that_of_the_beginnings() -> None:
    """Three, each half a second after the one before."""
    observation = seen(*(serve("GET /", start, start + 7) for start in (0, 500, 1000)))
    assert rate_per_second(requests_of(observation.traces)) == pytest.approx(2.0)


def test_requests_that_began_at_once_have_no_rate() -> None:
    assert rate_per_second(requests_of(seen(request(1), request(2)).traces)) is None


# --- Which ------------------------------------------------------------------------------------------------------------


def test_requests_are_of_the_operation_with_most_time() -> None:
    """Three short ones took less than one that was long."""
    assert _names(*[serve("GET /often", 0, 2)] * 3, serve("POST /slow", 0, 7)) == ["POST /slow"]


def test_many_short_requests_may_outweigh_a_long_one() -> None:
    assert _names(*[serve("GET /often", 0, 3)] * 3, serve("POST /slow", 0, 7)) == ["GET /often"] * 3


def test_operations_of_two_services_are_two_whatever_their_name() -> None:
    roots = [serve("GET /", 0, 2), serve("GET /", 0, 2), serve("GET /", 0, 3, service="other")]
    assert _names(*roots) == ["GET /"] * 2


@pytest.mark.parametrize("kind", [SpanKind.CONSUMER, SpanKind.PRODUCER])
def test_a_trace_begun_by_a_message_is_no_request(kind: SpanKind) -> None:
    assert _names(step("work", 0, 100, kind=kind), step("run", 0, 1)) == ["run"]


def test_where_servers_began_traces_a_workers_are_left_out() -> None:
    assert _names(call("send", 0, 100), step("sweep", 0, 100), serve("GET /", 0, 1)) == ["GET /"]


def test_without_servers_whatever_began_counts() -> None:
    assert _names(step("run", 0, 5), call("send", 0, 4)) == ["run"]


def test_a_trace_that_is_not_one_tree_is_no_request() -> None:
    whole, other = request(1), serve("orphan", 0, 100)
    traces = [trace_of(whole), Trace("t", (), (other,), 1), Trace("u", (other, other), (), 2)]
    assert [each.root.span.name for each in requests_of(traces)] == ["POST /things"]


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


def _names(*roots: Node) -> list[str]:
    return [each.root.span.name for each in requests_of(seen(*roots).traces)]
