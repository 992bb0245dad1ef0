"""Critical path: all of the root's time, each stretch with the span that was waited for."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.analysis.clock_skew import repair
from observability.analysis.critical_path import Where, calls_in_sequence, critical_path
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from tests.full import in_full
from tests.unit.analysis.making import client, node, random_tree, server

trees = st.randoms(use_true_random=False).map(random_tree)


# --- Whose time -------------------------------------------------------------------------------------------------------


def test_a_span_alone_waits_for_itself() -> None:
    [segment] = critical_path(node("root", 5, 12))
    assert (segment.where, segment.start_nanoseconds, segment.duration_nanoseconds) == (Where.SELF, 5, 7)


def test_gaps_between_children_are_the_parents() -> None:
    assert _path(node("root", 0, 10, node("a", 1, 4), node("b", 6, 9))) == [
        ("root", "self", 0, 1),
        ("a", "self", 1, 4),
        ("root", "self", 4, 6),
        ("b", "self", 6, 9),
        ("root", "self", 9, 10),
    ]


def test_a_child_is_split_among_its_own_children() -> None:
    assert _path(node("root", 0, 10, node("a", 0, 10, node("b", 3, 10)))) == [("a", "self", 0, 3), ("b", "self", 3, 10)]


def test_siblings_back_to_back_both_count() -> None:
    assert _path(node("root", 0, 10, node("a", 0, 5), node("b", 5, 10))) == [("a", "self", 0, 5), ("b", "self", 5, 10)]


def test_a_sibling_without_length_vanishes() -> None:
    assert _path(node("root", 0, 10, node("a", 5, 5))) == [("root", "self", 0, 10)]


def test_a_root_without_length_has_no_path() -> None:
    assert critical_path(node("root", 5, 5, node("a", 5, 5))) == ()


def test_a_child_beside_one_that_ended_later_is_not_waited_for() -> None:
    assert _path(node("root", 0, 10, client("long", 0, 9), client("short", 1, 8))) == [
        ("long", "self", 0, 9),
        ("root", "self", 9, 10),
    ]


def test_a_child_that_overlaps_the_next_counts_up_to_its_start() -> None:
    assert _path(node("root", 0, 10, node("a", 1, 7), node("b", 5, 10))) == [
        ("root", "self", 0, 1),
        ("a", "self", 1, 5),
        ("b", "self", 5, 10),
    ]


def test_an_overlapped_child_counts_until_the_next_starts() -> None:
    assert _path(node("root", 0, 10, node("a", 1, 8, node("c", 2, 4), node("d", 6, 8)), node("b", 5, 10))) == [
        ("root", "self", 0, 1),
        ("a", "self", 1, 2),
        ("c", "self", 2, 4),
        ("a", "self", 4, 5),
        ("b", "self", 5, 10),
    ]


def test_the_longest_of_children_that_end_together_is_critical() -> None:
    assert _path(node("root", 0, 10, client("short", 4, 10), client("long", 2, 10))) == [
        ("root", "self", 0, 2),
        ("long", "self", 2, 10),
    ]


def test_a_consumer_is_not_on_the_critical_path() -> None:
    below = node("below", 3, 8)
    assert _path(node("root", 0, 10, node("consume", 2, 9, below, kind=SpanKind.CONSUMER))) == [("root", "self", 0, 10)]


def test_a_producer_is_waited_for_and_its_consumer_is_not() -> None:
    consumer = node("consume", 3, 20, kind=SpanKind.CONSUMER)
    assert _path(node("root", 0, 10, node("send", 2, 4, consumer, kind=SpanKind.PRODUCER))) == [
        ("root", "self", 0, 2),
        ("send", "self", 2, 4),
        ("root", "self", 4, 10),
    ]


# --- Edges ------------------------------------------------------------------------------------------------------------


def test_around_its_server_a_clients_time_is_the_edge() -> None:
    assert _path(client("call", 0, 10, server("serve", 2, 7))) == [
        ("call", "request in transit", 0, 2),
        ("serve", "self", 2, 7),
        ("call", "response in transit", 7, 10),
    ]


def test_between_two_attempts_a_clients_time_is_its_own() -> None:
    assert _path(client("call", 0, 20, server("first", 2, 5), server("second", 9, 15))) == [
        ("call", "request in transit", 0, 2),
        ("first", "self", 2, 5),
        ("call", "self", 5, 9),
        ("second", "self", 9, 15),
        ("call", "response in transit", 15, 20),
    ]


def test_a_server_without_length_splits_request_and_response() -> None:
    assert _path(client("call", 0, 10, server("serve", 4, 4))) == [
        ("call", "request in transit", 0, 4),
        ("call", "response in transit", 4, 10),
    ]


def test_client_work_before_the_call_is_not_transit() -> None:
    assert _path(client("call", 0, 10, node("encode", 1, 3), server("serve", 5, 10))) == [
        ("call", "request in transit", 0, 1),
        ("encode", "self", 1, 3),
        ("call", "request in transit", 3, 5),
        ("serve", "self", 5, 10),
    ]


def test_a_client_without_a_server_has_no_edges() -> None:
    assert _path(client("query", 0, 10)) == [("query", "self", 0, 10)]


def test_only_a_client_has_edges() -> None:
    assert _path(node("root", 0, 10, server("serve", 2, 10))) == [("root", "self", 0, 2), ("serve", "self", 2, 10)]


# --- Any tree ---------------------------------------------------------------------------------------------------------


def test_a_tree_may_be_deeper_than_the_stack() -> None:
    root = node("0", 0, 1)
    for depth in range(5_000):
        root = node(str(depth + 1), 0, depth + 2, root)
    assert len(critical_path(root)) == 5_001


@given(trees)
def test_segments_of_a_repaired_tree_add_up_to_the_root(root: Node) -> None:
    assert _conserves(repair(root).root)


@given(trees)
def test_the_segments_of_an_unrepaired_tree_do_too(root: Node) -> None:
    assert _conserves(root)


@given(trees)
def test_each_segment_of_a_repaired_tree_is_within_its_span(root: Node) -> None:
    for segment in critical_path(repair(root).root):
        span = segment.node.span
        assert span.start_nanoseconds <= segment.start_nanoseconds < segment.end_nanoseconds <= span.end_nanoseconds


@pytest.mark.parametrize("count", [1_000, *in_full(10_000)])
def test_random_trees_conserve_their_time(count: int) -> None:
    source = random.Random(20_251)
    assert all(_conserves(repair(random_tree(source)).root) for _ in range(count))


# --- Calls in sequence ------------------------------------------------------------------------------------------------


def test_alike_calls_one_after_the_other_are_a_sequence() -> None:
    parent = node("root", 0, 10, _query("a", 0, 2), _query("b", 2, 4), _query("c", 5, 7))
    assert _sequences(parent) == [["a", "b", "c"]]


def test_other_calls_may_lie_between() -> None:
    parent = node("root", 0, 10, _query("a", 0, 2), node("between", 2, 4), _query("b", 4, 5))
    assert _sequences(parent) == [["a", "b"]]


def test_one_call_is_no_sequence() -> None:
    assert _sequences(node("root", 0, 10, _query("a", 0, 2))) == []


def test_alike_calls_that_overlap_are_no_sequence() -> None:
    assert _sequences(node("root", 0, 10, _query("a", 0, 2), _query("b", 2, 5), _query("c", 4, 6))) == []


def test_calls_of_another_name_kind_or_service_are_not_alike() -> None:
    one = _query("a", 0, 2)
    others = [
        Node(replace(one.span, name="UPDATE item"), ()),
        Node(replace(one.span, kind=SpanKind.INTERNAL), ()),
        Node(replace(one.span, service="stock"), ()),
    ]
    assert _sequences(node("root", 0, 10, one, *others)) == []


def test_sequences_are_ordered_by_their_first_start() -> None:
    parent = node(
        "root", 0, 10, _query("c", 3, 4), _query("d", 7, 8), _query("a", 1, 2, "UPDATE"), _query("b", 9, 10, "UPDATE")
    )
    assert _sequences(parent) == [["a", "b"], ["c", "d"]]


def _path(root: Node) -> list[tuple[str, str, int, int]]:
    return [
        (segment.node.span.name, segment.where.value, segment.start_nanoseconds, segment.end_nanoseconds)
        for segment in critical_path(root)
    ]


def _conserves(root: Node) -> bool:
    """Whether the path begins with the root, ends with it and has no gap, no overlap and no empty segment."""
    path = critical_path(root)
    return (
        sum(segment.duration_nanoseconds for segment in path) == root.span.duration_nanoseconds
        and all(segment.duration_nanoseconds > 0 for segment in path)
        and all(former.end_nanoseconds == latter.start_nanoseconds for former, latter in pairwise(path))
        and (not path or path[0].start_nanoseconds == root.span.start_nanoseconds)
    )


def _query(span_id: str, start: int, end: int, name: str = "SELECT item") -> Node:
    return Node(replace(client(span_id, start, end).span, name=name), ())


def _sequences(parent: Node) -> list[list[str]]:
    return [[each.span.span_id for each in calls] for calls in calls_in_sequence(parent)]
