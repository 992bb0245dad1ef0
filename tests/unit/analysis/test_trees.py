"""Trees built from spans: each span is in exactly one place, and incomplete traces are recognised."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from observability.analysis.integrity import check_integrity, unresolved
from observability.analysis.span_status import failed
from observability.analysis.spans import Span, once_per_span, retimed
from observability.analysis.trees import Forest, Node, build_traces
from tests.unit.analysis.making import any_spans, sequential_trees, span


def test_children_are_below_their_parents_by_start_time() -> None:
    [trace] = build_traces([span("late", "root", start=2), span("early", "root", start=1), span("root")]).traces
    assert [child.span.span_id for child in trace.roots[0].children] == ["early", "late"]


def test_a_span_with_a_missing_parent_is_an_orphan_subtree() -> None:
    [trace] = build_traces([span("root"), span("lost", "gone"), span("below", "lost")]).traces
    [orphan] = trace.orphans
    assert [node.span.span_id for node in orphan.walk()] == ["lost", "below"]


def test_two_roots_are_not_whole() -> None:
    [trace] = build_traces([span("one"), span("two")]).traces
    assert not trace.whole


def test_a_ring_of_parents_is_opened_at_its_earliest_span() -> None:
    [trace] = build_traces([span("a", "b", start=1, end=2), span("b", "a", start=3, end=4)]).traces
    [orphan] = trace.orphans
    assert [node.span.span_id for node in orphan.walk()] == ["a", "b"]


def test_a_tree_may_be_deeper_than_the_stack() -> None:
    chain = [span("0"), *(span(str(depth), str(depth - 1)) for depth in range(1, 5_000))]
    [trace] = build_traces(chain).traces
    assert sum(1 for _ in trace.roots[0].walk()) == 5_000


@given(any_spans())
def test_every_span_is_in_exactly_one_place(spans: list[Span]) -> None:
    forest = build_traces(spans)
    placed = [node.span for trace in forest.traces for top in (*trace.roots, *trace.orphans) for node in top.walk()]
    assert sorted(_keys(placed)) == sorted(set(_keys(spans)))
    assert len(placed) + forest.duplicates == len(spans)


@given(any_spans())
def test_only_a_parent_that_is_there_has_children(spans: list[Span]) -> None:
    for node in _nodes(build_traces(spans)):
        assert all(child.span.parent_span_id == node.span.span_id for child in node.children)


@given(sequential_trees(), st.randoms(use_true_random=False))
def test_order_and_repetition_of_spans_change_nothing(spans: list[Span], source: random.Random) -> None:
    shuffled = source.sample(spans + spans, k=2 * len(spans))
    assert build_traces(shuffled).traces == build_traces(spans).traces


def test_integrity_counts_whole_and_broken_traces() -> None:
    whole = [span("a", trace="1", name="GET /"), span("b", "a", trace="1")]
    broken = [span("c", "gone", trace="2"), span("c", "gone", trace="2")]
    integrity = check_integrity(build_traces([*whole, *broken]))
    assert (integrity.traces, integrity.whole, integrity.without_root) == (2, 1, 1)
    assert (integrity.spans, integrity.orphans, integrity.duplicates) == (3, 1, 1)
    assert integrity.traces_by_root == {"": 1, "GET /": 1}


def test_unresolved_references_are_given_once() -> None:
    assert unresolved(["x", "a", "x"], ["a", "b"]) == ("x",)


def _keys(spans: list[Span]) -> list[tuple[str, str]]:
    return [(each.trace_id, each.span_id) for each in spans]


def _nodes(forest: Forest) -> list[Node]:
    return [node for trace in forest.traces for top in (*trace.roots, *trace.orphans) for node in top.walk()]


def test_what_is_asked_of_a_span_is_found_out_once() -> None:
    asked = []

    @once_per_span
    def name_of(each: Span) -> str:
        asked.append(each.span_id)
        return each.name

    one, same = span("a"), span("a")
    assert [name_of(each) for each in (one, one, same)] == ["a", "a", "a"]
    assert asked == ["a", "a"]
    assert one == same


def test_spans_that_are_described_alike_are_classified_once() -> None:
    asked = []

    @once_per_span
    def text_of(each: Span) -> object:
        asked.append(each.span_id)
        return each.attributes["text"]

    described = [("a", "x", 1.5), ("b", "x", 2.5), ("c", "y", 1.5)]
    spans = [
        replace(span(each, name="same"), attributes={"text": text, "took": took}) for each, text, took in described
    ]
    found = {node.span.span_id: text_of(node.span) for node in _nodes(build_traces(spans))}
    assert found == {"a": "x", "b": "x", "c": "y"}
    assert asked == ["a", "c"]


def test_spans_that_ended_with_other_codes_are_not_alike() -> None:
    codes = {"a": 200, "b": 503, "c": 200}
    spans = [
        replace(span(each, name="same"), attributes={"http.response.status_code": code}) for each, code in codes.items()
    ]
    found = {node.span.span_id: failed(node.span) for node in _nodes(build_traces(spans))}
    assert found == {"a": False, "b": True, "c": False}


def test_a_span_with_other_times_keeps_its_facts() -> None:
    [trace] = build_traces([span("a", start=1, end=2)]).traces
    [root] = trace.roots
    cut = retimed(root.span, 1, 2, "")
    assert cut == replace(root.span, start_nanoseconds=1, end_nanoseconds=2)
    assert cut.facts is root.span.facts
