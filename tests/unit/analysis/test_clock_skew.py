"""Repair of clock skew: truncates spans within a service, shifts those of others, and leaves consumers unchanged."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from observability.analysis.clock_offsets import ClockOffsets
from observability.analysis.clock_skew import repair
from observability.analysis.critical_path import critical_path
from observability.analysis.spans import SpanKind, SpanStatus
from observability.analysis.trees import Node, build_traces
from tests.unit.analysis.making import client, node, random_tree, server, times

trees = st.randoms(use_true_random=False).map(random_tree)


def test_a_tree_whose_times_agree_stays_as_it_is() -> None:
    root = node("root", 0, 10, node("a", 0, 4), client("b", 4, 10, server("c", 5, 9)))
    repaired = repair(root)
    assert repaired.root is root
    assert (repaired.truncated, repaired.moved, repaired.wasted_nanoseconds) == (0, 0, 0)


# --- One service ------------------------------------------------------------------------------------------------------


def test_a_late_child_is_cut_and_the_rest_is_wasted() -> None:
    repaired = repair(node("root", 0, 10, node("late", 8, 13)))
    assert times(repaired.root)["late"] == (8, 10)
    assert (repaired.truncated, repaired.wasted_nanoseconds) == (1, 3)


def test_an_early_child_is_cut_and_nothing_is_wasted() -> None:
    repaired = repair(node("root", 5, 10, node("early", 2, 7)))
    assert times(repaired.root)["early"] == (5, 7)
    assert (repaired.truncated, repaired.wasted_nanoseconds) == (1, 0)


def test_a_child_after_its_parent_is_wasted_whole() -> None:
    repaired = repair(node("root", 0, 10, node("after", 12, 15)))
    assert times(repaired.root)["after"] == (10, 10)
    assert (repaired.truncated, repaired.wasted_nanoseconds) == (1, 3)


def test_a_child_before_its_parent_becomes_an_instant() -> None:
    assert times(repair(node("root", 5, 10, node("before", 1, 2))).root)["before"] == (5, 5)


def test_waste_below_a_cut_span_is_counted_once() -> None:
    repaired = repair(node("root", 0, 10, node("late", 8, 16, node("below", 9, 15))))
    assert times(repaired.root)["below"] == (9, 10)
    assert (repaired.truncated, repaired.wasted_nanoseconds) == (2, 6)


def test_time_beyond_a_cut_span_is_wasted() -> None:
    repaired = repair(node("root", 0, 10, node("late", 8, 16, node("later", 9, 18))))
    assert repaired.wasted_nanoseconds == 6 + 2


def test_a_span_whose_clock_was_set_back_has_no_duration() -> None:
    assert times(repair(node("root", 0, 10, node("back", 6, 3))).root)["back"] == (6, 6)


# --- Two services -----------------------------------------------------------------------------------------------------


def test_a_server_outside_its_client_is_centred_in_it() -> None:
    repaired = repair(client("call", 0, 10, server("serve", 103, 107)))
    assert times(repaired.root)["serve"] == (3, 7)
    assert (repaired.moved, repaired.truncated) == (1, 0)


def test_a_server_that_looks_out_at_one_end_only_is_moved_whole() -> None:
    assert times(repair(client("call", 0, 10, server("serve", 6, 12))).root)["serve"] == (2, 8)


def test_the_response_gets_the_odd_nanosecond() -> None:
    assert times(repair(client("call", 0, 10, server("serve", 103, 106))).root)["serve"] == (3, 6)


def test_descendants_of_a_moved_server_move_with_it() -> None:
    inner = node("query", 104, 106, service="stock")
    repaired = repair(client("call", 0, 10, server("serve", 103, 107, inner)))
    assert times(repaired.root)["query"] == (4, 6)
    assert repaired.moved == 1


def test_a_server_on_the_clock_of_a_moved_one_moves_with_it() -> None:
    onward = node("onward", 103, 107, server("deep", 103, 105, service="mail"), kind=SpanKind.CLIENT, service="stock")
    repaired = repair(client("call", 0, 10, server("serve", 102, 108, onward)))
    assert times(repaired.root)["deep"] == (3, 5)
    assert repaired.moved == 1


def test_a_server_on_another_clock_is_centred_in_the_moved_one() -> None:
    onward = node("onward", 103, 107, server("deep", 3, 5, service="mail"), kind=SpanKind.CLIENT, service="stock")
    repaired = repair(client("call", 0, 10, server("serve", 102, 108, onward)))
    assert times(repaired.root)["deep"] == (4, 6)
    assert repaired.moved == 2


def test_a_server_longer_than_its_client_is_cut_to_it() -> None:
    repaired = repair(client("call", 0, 10, server("serve", 2, 15)))
    assert times(repaired.root)["serve"] == (2, 10)
    assert (repaired.moved, repaired.truncated, repaired.wasted_nanoseconds) == (0, 1, 5)


def test_a_server_inside_a_cut_client_is_cut_but_not_moved() -> None:
    repaired = repair(node("root", 0, 5, client("call", 0, 10, server("serve", 1, 9))))
    assert times(repaired.root)["serve"] == (1, 5)
    assert (repaired.moved, repaired.truncated, repaired.wasted_nanoseconds) == (0, 2, 5)


def test_attempts_on_one_service_are_moved_together() -> None:
    repaired = repair(client("call", 0, 20, server("first", 100, 104), server("second", 110, 114)))
    assert times(repaired.root) == {"call": (0, 20), "first": (3, 7), "second": (13, 17)}
    assert repaired.moved == 2


def test_attempts_with_different_clocks_are_moved_separately() -> None:
    repaired = repair(client("call", 0, 10, server("here", 1, 4), server("far", 100, 104)))
    assert times(repaired.root) == {"call": (0, 10), "here": (1, 4), "far": (3, 7)}


def test_what_another_service_does_after_the_end_is_not_moved() -> None:
    """It is asynchronous, so that nothing of it is on the path, and nothing wasted."""
    below = node("below", 104, 106, service="stock")
    root = node("root", 0, 10, node("elsewhere", 103, 107, below, service="stock"))
    repaired = repair(root)
    assert repaired.root == root
    assert (repaired.moved, repaired.truncated, repaired.wasted_nanoseconds) == (0, 0, 0)
    assert [segment.node.span.name for segment in critical_path(repaired.root)] == ["root"]


def test_what_another_service_did_before_its_caller_is_moved() -> None:
    """Nothing begins before its cause."""
    repaired = repair(node("root", 100, 110, node("elsewhere", 3, 7, service="stock")))
    assert times(repaired.root)["elsewhere"] == (103, 107)


# --- Calls that were given up -----------------------------------------------------------------------------------------


def test_a_server_that_outlasts_a_cancelled_call_is_cut() -> None:
    repaired = repair(_given_up(client("call", 0, 10, server("serve", 2, 12))))
    assert times(repaired.root)["serve"] == (2, 10)
    assert (repaired.moved, repaired.truncated, repaired.wasted_nanoseconds) == (0, 1, 2)


def test_a_server_that_outlasts_a_failed_call_has_a_wrong_clock() -> None:
    call = client("call", 0, 10, server("serve", 6, 12))
    assert times(repair(Node(replace(call.span, status=SpanStatus.ERROR), call.children)).root)["serve"] == (2, 8)


def test_a_server_outside_a_cancelled_call_has_a_wrong_clock() -> None:
    """Its caller did not wait for its end."""
    assert times(repair(_given_up(client("call", 0, 10, server("serve", 103, 107)))).root)["serve"] == (4, 8)


def test_attempts_before_a_cancelled_one_are_not_moved() -> None:
    repaired = repair(_given_up(client("call", 0, 20, server("first", 2, 5), server("second", 9, 26))))
    assert times(repaired.root) == {"call": (0, 20), "first": (2, 5), "second": (9, 20)}
    assert repaired.wasted_nanoseconds == 6


def test_attempts_on_another_clock_move_together_to_the_call() -> None:
    repaired = repair(_given_up(client("call", 0, 20, server("first", 102, 105), server("second", 109, 126))))
    assert times(repaired.root) == {"call": (0, 20), "first": (6, 9), "second": (13, 20)}
    assert repaired.moved == 2


# --- Consumers --------------------------------------------------------------------------------------------------------


def test_a_consumer_and_all_below_it_stay_where_they_are() -> None:
    below = node("below", 40, 90, service="mail")
    consumer = node("consume", 50, 60, below, kind=SpanKind.CONSUMER, service="mail")
    root = node("root", 0, 10, node("send", 1, 2, consumer, kind=SpanKind.PRODUCER))
    repaired = repair(root)
    assert repaired.root == root
    assert (repaired.truncated, repaired.moved, repaired.wasted_nanoseconds) == (0, 0, 0)


def test_a_consumer_does_not_move_with_a_server_that_called_it() -> None:
    consumer = node("consume", 105, 106, kind=SpanKind.CONSUMER, service="mail")
    repaired = repair(client("call", 0, 10, server("serve", 103, 107, consumer)))
    assert times(repaired.root)["consume"] == (105, 106)


# --- Adoption ---------------------------------------------------------------------------------------------------------


def test_a_leaf_adopts_a_sibling_that_ran_within_its_time() -> None:
    root = repair(node("root", 0, 10, node("outer", 1, 9), client("query", 2, 5))).root
    assert _parents(root) == {"outer": "root", "query": "outer"}


def test_the_shortest_enclosing_leaf_adopts() -> None:
    root = repair(node("root", 0, 10, node("wide", 0, 10), node("narrow", 1, 9), client("query", 2, 5))).root
    assert _parents(root) == {"wide": "root", "narrow": "wide", "query": "narrow"}


def test_a_leaf_adopts_a_sibling_with_all_below_it() -> None:
    root = repair(node("root", 0, 10, node("outer", 1, 9), client("call", 2, 8, server("serve", 3, 7)))).root
    assert _parents(root) == {"outer": "root", "call": "outer", "serve": "call"}


def test_equal_siblings_stay_siblings() -> None:
    assert _parents(repair(node("root", 0, 10, node("a", 2, 5), node("b", 2, 5))).root) == {"a": "root", "b": "root"}


def test_back_to_back_siblings_stay_siblings() -> None:
    root = repair(node("root", 0, 10, node("a", 2, 5), node("b", 5, 5), node("c", 5, 9))).root
    assert _parents(root) == {"a": "root", "b": "root", "c": "root"}


def test_siblings_that_overlap_stay_siblings() -> None:
    assert _parents(repair(node("root", 0, 10, node("a", 2, 5), node("b", 4, 8))).root) == {"a": "root", "b": "root"}


def test_a_span_with_children_adopts_none() -> None:
    root = repair(node("root", 0, 10, node("outer", 1, 9, node("own", 1, 2)), client("query", 3, 5))).root
    assert _parents(root)["query"] == "root"


def test_a_call_adopts_no_other_call() -> None:
    root = repair(node("root", 0, 10, client("long", 1, 9), client("short", 2, 5))).root
    assert _parents(root) == {"long": "root", "short": "root"}


def test_a_call_adopts_spans_inside_it() -> None:
    root = repair(node("root", 0, 10, client("call", 1, 9), node("resolve", 2, 5))).root
    assert _parents(root) == {"call": "root", "resolve": "call"}


def test_a_span_of_another_service_is_not_adopted() -> None:
    root = repair(node("root", 0, 10, node("outer", 1, 9), node("elsewhere", 2, 5, service="stock"))).root
    assert _parents(root)["elsewhere"] == "root"


def test_a_consumer_is_not_adopted() -> None:
    root = repair(node("root", 0, 10, node("outer", 1, 9), node("consume", 2, 5, kind=SpanKind.CONSUMER))).root
    assert _parents(root)["consume"] == "root"


# --- Any tree ---------------------------------------------------------------------------------------------------------


def test_a_tree_may_be_deeper_than_the_stack() -> None:
    chain = node("0", 0, 10)
    for depth in range(1, 5_000):
        chain = node(str(depth), 0, 10, chain)
    truncated = repair(node("root", 0, 9, chain)).truncated
    assert truncated == 5_000


@given(trees)
def test_every_child_that_is_waited_for_is_inside_its_parent(root: Node) -> None:
    stack = [repair(root).root]
    while stack:
        parent = stack.pop()
        for child in (child for child in parent.children if child.span.kind is not SpanKind.CONSUMER):
            stack.append(child)
            is_foreign = child.span.service != parent.span.service
            if is_foreign and child.span.start_nanoseconds >= parent.span.end_nanoseconds:
                continue
            assert parent.span.start_nanoseconds <= child.span.start_nanoseconds
            assert child.span.start_nanoseconds <= child.span.end_nanoseconds <= parent.span.end_nanoseconds


@given(trees)
def test_repairing_again_changes_nothing(root: Node) -> None:
    """On the clocks that were made to agree."""
    once = repair(root)
    again = repair(once.root, ClockOffsets())
    assert again.root == once.root
    assert (again.truncated, again.moved, again.wasted_nanoseconds) == (0, 0, 0)


@given(trees)
def test_no_span_is_lost(root: Node) -> None:
    assert sorted(_ids(repair(root).root)) == sorted(_ids(root))


@given(trees)
def test_no_span_grows(root: Node) -> None:
    before = {each.span.span_id: each.span.duration_nanoseconds for each in root.walk()}
    for each in repair(root).root.walk():
        assert each.span.duration_nanoseconds <= before[each.span.span_id]


@given(trees)
def test_every_span_names_the_parent_that_it_is_below(root: Node) -> None:
    for parent in repair(root).root.walk():
        assert all(child.span.parent_span_id == parent.span.span_id for child in parent.children)


@given(trees)
def test_a_repaired_tree_is_the_tree_of_its_spans(root: Node) -> None:
    repaired = repair(root).root
    [trace] = build_traces(each.span for each in repaired.walk()).traces
    assert trace.roots == (repaired,)


def _given_up(call: Node) -> Node:
    """Return the same call, timed out."""
    attributes = {"rpc.response.status_code": "DEADLINE_EXCEEDED"}
    return Node(replace(call.span, status=SpanStatus.ERROR, attributes=attributes), call.children)


def _parents(root: Node) -> dict[str, str]:
    """Whose child each span is, by name."""
    return {child.span.name: parent.span.name for parent in root.walk() for child in parent.children}


def _ids(root: Node) -> list[str]:
    return [each.span.span_id for each in root.walk()]
