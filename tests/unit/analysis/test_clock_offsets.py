"""Clock offsets between services, told apart from callees that ran at another time than their callers."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from observability.analysis.clock_offsets import ClockOffsets, clock_offsets_of
from observability.analysis.requests import find_requests
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from tests.unit.analysis.seeing import call, seen, serve, step

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND

# From the number of a call and a source of chance to its root.
Make = Callable[[int, random.Random], Node]


def test_clocks_that_agree_have_no_offset() -> None:
    assert _offsets(40, lambda _, source: _called(source)) == ClockOffsets()


@pytest.mark.parametrize("seconds", [-10, -0.02, 0.02, 10])
def test_one_offset_explains_all_calls(seconds: float) -> None:
    """Whether the server's clock is ahead or behind, and by more or less than a call takes."""
    offsets = _offsets(40, lambda _, source: _called(source, by=seconds * 1e3))
    [shift] = offsets.shifts["shop", "stock"]
    assert shift == pytest.approx(-seconds * SECOND, abs=2 * MILLISECOND)
    assert "its spans are moved in 40 of 40 traces" in offsets.reasons[0]


def test_the_offset_is_said_with_the_requests() -> None:
    roots = [_called(random.Random(number), by=10_000) for number in range(40)]
    found = find_requests(seen(*roots).traces)
    assert found.reasons[-1].startswith("the clock of stock is off by +10 s from that of shop: ")
    assert [segment.node.span.name for segment in found.requests[0].path].count("answer") == 1


def test_calls_that_differ_from_all_others_are_not_moved() -> None:
    """A few servers began after their callers had ended: a clock would show in all calls."""
    late = 37
    offsets = _offsets(40, lambda number, source: _called(source, by=source.uniform(50, 900) * (number >= late)))
    assert offsets == ClockOffsets()


def test_callees_at_random_times_are_not_moved() -> None:
    offsets = _offsets(40, lambda _, source: _called(source, by=source.uniform(50, 60_000)))
    assert offsets == ClockOffsets()


def test_a_service_on_several_hosts_has_several_clocks() -> None:
    by = (0, 10_000, -3_000)
    offsets = _offsets(60, lambda number, source: _called(source, by=by[number % 3]))
    usual, *others = offsets.shifts["shop", "stock"]
    assert usual == 0
    assert sorted(others) == pytest.approx([-10 * SECOND, 3 * SECOND], abs=2 * MILLISECOND)
    assert "is off by -3 s to +10 s from that of shop: its spans are moved in 40 of 60 traces" in offsets.reasons[0]


@pytest.mark.parametrize("lag", [0, 5, 40])
def test_work_that_follows_a_call_without_a_client_span_is_no_other_clock(lag: float) -> None:
    """However constant its lag: a queue may be that fast."""
    assert _offsets(40, lambda _, source: _followed(source, lag=lag)) == ClockOffsets()


def test_without_client_spans_a_large_constant_offset_is_a_clocks() -> None:
    offsets = _offsets(40, lambda _, source: _without_client(source, by=10_000))
    [shift] = offsets.shifts["shop", "stock"]
    assert shift == pytest.approx(-10 * SECOND, abs=2 * MILLISECOND)


def test_nothing_is_a_day_off() -> None:
    """Such a call is repeated from a queue."""
    assert _offsets(40, lambda _, source: _called(source, by=86_400_000)) == ClockOffsets()


def test_a_consumer_says_nothing_of_clocks() -> None:
    def sent(_: int, source: random.Random) -> Node:
        return serve("GET /", 0, 10, step("work", 500 + source.random(), 501, kind=SpanKind.CONSUMER, service="stock"))

    assert _offsets(40, sent) == ClockOffsets()


def _offsets(calls: int, make: Make) -> ClockOffsets:
    roots = [make(number, random.Random(number)) for number in range(calls)]
    return clock_offsets_of(
        [Node(replace(root.span, trace_id=f"{n}"), _in(root, f"{n}")) for n, root in enumerate(roots)]
    )


def _in(root: Node, trace_id: str) -> tuple[Node, ...]:
    return tuple(Node(replace(each.span, trace_id=trace_id), _in(each, trace_id)) for each in root.children)


def _called(source: random.Random, *, by: float = 0) -> Node:
    """Return a request with a call, whose server's clock is `by` milliseconds ahead; about a millisecond on the way."""
    start, took = 5 + by + source.random(), source.uniform(8, 20)
    answer = serve("answer", start, start + took, service="stock")
    return serve("GET /", 0, 60, call("ask", 5 - source.random() / 2, 6.5 + took + source.random(), answer))


def _followed(source: random.Random, *, lag: float) -> Node:
    """Return a request that another service follows, `lag` milliseconds after its end."""
    took = source.uniform(8, 20)
    return serve("GET /", 0, took, serve("later", took + lag, took + lag + 4, service="stock"))


def _without_client(source: random.Random, *, by: float) -> Node:
    start = 2 + by + source.random()
    return serve("GET /", 0, 20, serve("answer", start, start + 15, service="stock"))
