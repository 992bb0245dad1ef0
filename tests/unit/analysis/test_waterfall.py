"""Waterfall of a trace: self times add up to its duration, and bars stay within the time axis."""

import pytest
from hypothesis import given

from observability.analysis.spans import Span
from observability.analysis.trees import Node, build_traces
from observability.analysis.waterfall import SpanRow, bar_text, flatten
from tests.unit.analysis.making import MILLISECOND, any_spans, sequential_trees, span


def test_rows_come_depth_first_with_depth_offset_and_duration() -> None:
    rows = _rows([span("root", end=10), span("a", "root", start=1, end=5), span("b", "a", start=2, end=3)])
    assert [(row.span.name, row.depth, row.offset_nanoseconds, row.duration_nanoseconds) for row in rows] == [
        ("root", 0, 0, 10 * MILLISECOND),
        ("a", 1, 1 * MILLISECOND, 4 * MILLISECOND),
        ("b", 2, 2 * MILLISECOND, 1 * MILLISECOND),
    ]


def test_children_that_overlap_take_their_time_once() -> None:
    rows = _rows([span("root", end=10), span("a", "root", start=1, end=5), span("b", "root", start=3, end=7)])
    assert rows[0].self_nanoseconds == 4 * MILLISECOND


def test_a_late_child_takes_only_time_of_its_parent() -> None:
    rows = _rows([span("root", end=10), span("late", "root", start=8, end=30)])
    assert rows[0].self_nanoseconds == 8 * MILLISECOND
    assert (rows[1].bar.start, rows[1].bar.width) == pytest.approx((0.8, 0.2))


@given(sequential_trees())
def test_self_times_add_up_to_the_roots_duration(spans: list[Span]) -> None:
    rows = _rows(spans)
    assert sum(row.self_nanoseconds for row in rows) == rows[0].duration_nanoseconds


@given(any_spans())
def test_bars_and_self_times_stay_within_bounds(spans: list[Span]) -> None:
    for trace in build_traces(spans).traces:
        for row in (row for top in (*trace.roots, *trace.orphans) for row in flatten(top)):
            assert 0 <= row.self_nanoseconds <= row.duration_nanoseconds
            assert all(0 <= each.start <= each.start + each.width <= 1 + 1e-9 for each in (row.bar, *row.own))
            assert 1 <= len(bar_text(row.bar, row.own, 20)) <= 20


def test_a_bar_is_solid_where_the_time_is_its_own() -> None:
    rows = _rows([span("root", end=10), span("a", "root", start=2, end=6)])
    assert [bar_text(row.bar, row.own, 10) for row in rows] == ["██░░░░████", "  ████"]


def test_the_bar_of_a_short_leaf_is_solid() -> None:
    rows = _rows([span("root", end=100), span("leaf", "root", start=42, end=43)])
    assert bar_text(rows[1].bar, rows[1].own, 10) == "    █"


def _rows(spans: list[Span]) -> list[SpanRow]:
    [trace] = build_traces(spans).traces
    return flatten(_only(trace.roots))


def _only(roots: tuple[Node, ...]) -> Node:
    [root] = roots
    return root
