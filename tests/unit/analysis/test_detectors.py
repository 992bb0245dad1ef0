"""Detectors of N+1 queries, full pools, synchronous side effects and network latency: what they report and what not."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from observability.analysis import detectors
from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.n_plus_one import find_n_plus_one
from observability.analysis.detectors.network_latency import find_network_latency
from observability.analysis.detectors.pool import find_pool
from observability.analysis.detectors.registry import find_candidates
from observability.analysis.detectors.side_effect import find_side_effect
from observability.analysis.diagnosis import diagnose
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from tests.unit.analysis.seeing import (
    call,
    each_later,
    found,
    full_pool,
    idle_pool,
    named,
    queries,
    query,
    request,
    requests_in,
    saved_wait,
    saved_work,
    seen,
    serve,
    step,
)

# What is waited for, whatever runs beside it.
LONG = call("ask", 0, 19, serve("answer", 1, 18, service="stock"))
RENDERED = step("render", 1, 19, step("part", 2, 3))

# --- N+1 --------------------------------------------------------------------------------------------------------------


def test_alike_statements_in_a_row_are_an_n_plus_one() -> None:
    """Five of 1 ms, back to back, become one of them."""
    [candidate] = found(find_n_plus_one, seen(request(10, *queries("SELECT item", 5))))
    assert named(candidate) == (Bottleneck.N_PLUS_ONE, "shop", "SELECT item")
    assert candidate.saving.work == pytest.approx([0.004])
    assert candidate.saving.wait == (0.0,)


def test_code_between_the_statements_is_saved_with_them() -> None:
    """Five of 1 ms with 0.5 ms between: 7 ms become one."""
    calls = [query("SELECT item", at * 1.5, at * 1.5 + 1) for at in range(5)]
    assert saved_work(find_n_plus_one, seen(request(10, *calls))) == pytest.approx([0.006])


def test_something_else_that_ran_in_between_stays() -> None:
    """Of the 4 ms in which a letter was sent, no more than twice the usual gap of 1 ms counts."""
    first, second = ([query("SELECT item", start + at * 2, start + at * 2 + 1) for at in range(3)] for start in (0, 9))
    assert saved_work(find_n_plus_one, seen(request(20, *first, call("send", 5, 9), *second))) == pytest.approx([0.011])


def test_the_cost_of_a_row_is_taken_from_other_statements() -> None:
    """The statement for all lines takes 1.1 ms for 3 and 1.3 ms for 5: 0.1 ms a row."""
    three = request(10, *queries("SELECT item", 3), query("INSERT lines", 6, 7.1))
    five = request(10, *queries("SELECT item", 5), query("INSERT lines", 6, 7.3))
    assert saved_work(find_n_plus_one, seen(three, five)) == pytest.approx([0.002 - 0.0002, 0.004 - 0.0004])


def test_a_request_without_them_saves_nothing() -> None:
    assert saved_work(find_n_plus_one, seen(request(20, *queries("SELECT item", 9)), request(1))) == pytest.approx(
        [0.008, 0]
    )


def test_n_plus_one_traces_are_those_with_the_longest_rows() -> None:
    roots = [request(20, *queries("SELECT item", count)) for count in (3, 9, 5, 7)]
    [candidate] = found(find_n_plus_one, seen(*roots))
    assert candidate.trace_ids == ("trace 1", "trace 3", "trace 2")


@pytest.mark.parametrize(
    ("why", "children"),
    [
        ("two in a row are how code is written", queries("SELECT item", 2)),
        ("each is another statement", [query(f"SELECT {table}", at, at + 1) for at, table in enumerate("abcde")]),
        ("they run side by side", [query("SELECT item", at, at + 3) for at in range(5)]),
        ("they bound transactions", queries("BEGIN", 5)),
        ("they are calls of no database", [call("GET item", at, at + 1) for at in range(5)]),
        ("each has a parent of its own", [step(f"{at}", at, at + 1, query("SELECT", at, at + 1)) for at in range(5)]),
    ],
)
def test_no_n_plus_one_where(why: str, children: list[Node]) -> None:
    assert found(find_n_plus_one, seen(request(10, *children))) == [], why


@pytest.mark.parametrize(
    "beside",
    [
        step("beside", 1, 10, *queries("SELECT item", 8, start=1)),
        step("consume", 20, 40, *queries("SELECT item", 8, start=21), kind=SpanKind.CONSUMER),
    ],
    ids=["beside a longer call", "in a consumer"],
)
def test_statements_off_the_critical_path_are_no_n_plus_one(beside: Node) -> None:
    assert found(find_n_plus_one, seen(request(20, beside, LONG))) == []


def test_different_statements_of_one_span_name_are_no_n_plus_one() -> None:
    calls = [query("SELECT", at, at + 1) for at in range(5)]
    summed_up = [
        Node(replace(each.span, attributes={**each.span.attributes, "db.query.summary": f"SELECT table_{at}"}), ())
        for at, each in enumerate(calls)
    ]
    assert found(find_n_plus_one, seen(request(10, *summed_up))) == []


# --- Pool -------------------------------------------------------------------------------------------------------------


def test_waits_for_a_full_pool_are_pool_exhaustion() -> None:
    waited = request(10, query("BEGIN", 6, 7, waited=6))
    [candidate] = found(find_pool, seen(waited, request(4), scrapes=full_pool()))
    assert named(candidate) == (Bottleneck.POOL, "shop", "")
    assert candidate.saving.wait == pytest.approx([0.006, 0])
    assert candidate.saving.work == (0.0, 0.0)


def test_waits_of_one_request_add_up() -> None:
    waited = request(20, query("BEGIN", 6, 7, waited=6), query("BEGIN", 12, 13, waited=2))
    assert saved_wait(find_pool, seen(waited, scrapes=full_pool())) == pytest.approx([0.008])


def test_each_service_has_a_pool_of_its_own() -> None:
    other = serve("answer", 8, 15, query("BEGIN", 12, 13, waited=2, service="other"), service="other")
    waited = request(20, query("BEGIN", 6, 7, waited=6), call("ask", 8, 15, other))
    assert [named(candidate)[1] for candidate in found(find_pool, seen(waited))] == ["shop", "other"]


def test_without_scrapes_pool_waits_are_enough() -> None:
    assert saved_wait(find_pool, seen(request(10, query("BEGIN", 6, 7, waited=6)))) == pytest.approx([0.006])


def test_a_pool_with_a_free_connection_is_not_exhausted() -> None:
    assert found(find_pool, seen(request(10, query("BEGIN", 6, 7, waited=6)), scrapes=idle_pool())) == []


def test_a_wait_off_the_critical_path_delays_nothing() -> None:
    observation = seen(request(20, step("beside", 1, 8, query("BEGIN", 6, 7, waited=5)), LONG), scrapes=full_pool())
    assert found(find_pool, observation) == []


def test_statements_that_say_nothing_of_a_wait_are_no_suspects() -> None:
    assert found(find_pool, seen(request(10, query("BEGIN", 6, 7)), scrapes=full_pool())) == []


# --- Side effects -----------------------------------------------------------------------------------------------------


def test_a_call_after_the_last_commit_is_a_side_effect() -> None:
    sold = request(20, query("UPDATE sale", 0, 2), query("COMMIT", 2, 3), call("send letter", 4, 13))
    [candidate] = found(find_side_effect, seen(sold))
    assert named(candidate) == (Bottleneck.SYNC_SIDE_EFFECT, "shop", "send letter")
    assert candidate.saving.wait == pytest.approx([0.009])
    assert candidate.saving.work == (0.0,)


def test_several_of_a_name_add_up_with_the_code_between_them() -> None:
    letters = [call("send letter", start, start + 2) for start in (4, 7, 10)]
    [candidate] = found(find_side_effect, seen(request(20, query("COMMIT", 2, 3), *letters)))
    assert candidate.saving.wait == pytest.approx([0.006])
    assert candidate.saving.work == pytest.approx([0.002])


@pytest.mark.parametrize(
    ("why", "children"),
    [
        ("what comes before the commit may be needed by it", [call("ask", 0, 9), query("COMMIT", 9, 10)]),
        ("a statement is no call to the outside", [query("COMMIT", 0, 1), query("SELECT sale", 1, 10)]),
        ("the process itself is not outside", [query("COMMIT", 0, 1), step("render", 1, 10)]),
        ("nothing was changed", [query("SELECT sale", 0, 1), call("ask", 1, 10)]),
        (
            "nobody waits for it",
            [query("COMMIT", 0, 1), call("send", 2, 9), call("long", 1, 10), query("COMMIT", 10, 11)],
        ),
    ],
)
def test_no_side_effect_where(why: str, children: list[Node]) -> None:
    assert found(find_side_effect, seen(request(20, *children))) == [], why


def test_a_call_that_changes_state_is_no_side_effect() -> None:
    """The change there is the last one: only what follows it is not needed."""
    answer = serve("pay", 5, 12, query("COMMIT", 10, 11, service="bank"), service="bank")
    assert found(find_side_effect, seen(request(20, query("COMMIT", 2, 3), call("pay", 4, 13, answer)))) == []


def test_parallel_calls_count_by_their_critical_part() -> None:
    """Without the first, which began 1 ms earlier, the request would still wait for the second."""
    beside = call("send letter", 1, 10), call("send parcel", 2, 11)
    candidates = found(find_side_effect, seen(request(20, query("COMMIT", 0, 1), *beside)))
    saved = {candidate.operation: candidate.saving.wait[0] for candidate in candidates}
    assert saved == pytest.approx({"send letter": 0.001, "send parcel": 0.009})


def test_a_question_after_the_last_commit_is_no_side_effect() -> None:
    """The other end reads and changes nothing: it is asked for its answer."""
    answer = serve("get price", 2, 12, query("SELECT price", 3, 11, service="stock"), service="stock")
    assert found(find_side_effect, seen(request(20, query("COMMIT", 0, 1), call("get price", 1, 13, answer)))) == []


# --- Network latency --------------------------------------------------------------------------------------------------


def test_calls_always_long_in_transit_cross_a_slow_network() -> None:
    """On their way for 6 ms even when they are fastest; a call between neighbours may take 1 ms of it."""
    observation = seen(*[request(20, _asked(on_the_way=6))] * 3)
    [candidate] = found(find_network_latency, observation)
    assert named(candidate) == (Bottleneck.NETWORK_LATENCY, "shop", "stock")
    assert candidate.saving.wait == pytest.approx([0.005] * 3)
    assert candidate.saving.work == (0.0,) * 3


def test_each_call_of_a_request_saves_as_much() -> None:
    asked_twice = request(40, _asked(on_the_way=6), _asked(on_the_way=6, start=20))
    assert saved_wait(find_network_latency, seen(asked_twice)) == pytest.approx([0.010])


def test_calls_sometimes_quick_in_transit_wait_for_no_network() -> None:
    roots = [request(20, _asked(on_the_way=taken)) for taken in (1, 1, 6, 6, 6, 6)]
    assert sum(saved_wait(find_network_latency, seen(*roots))) == 0


def test_a_call_between_neighbours_saves_nothing() -> None:
    assert saved_wait(find_network_latency, seen(request(20, _asked(on_the_way=1)))) == (0,)


def test_a_call_without_a_server_span_is_no_slow_network() -> None:
    assert found(find_network_latency, seen(request(20, call("ask", 0, 15)))) == []


def test_the_remote_end_is_the_server() -> None:
    asked = call("ask", 0, 15, step("encode", 0, 1), serve("answer", 6, 8, service="stock"))
    assert [named(candidate)[2] for candidate in found(find_network_latency, seen(request(20, asked)))] == ["stock"]


def test_statements_of_which_none_is_ever_fast_go_to_a_far_database() -> None:
    """Each of four statements takes at least 20 ms, half of them the double."""
    roots = [request(250, *_statements(20, slow=20 * (number % 2))) for number in range(40)]
    [candidate] = found(find_network_latency, seen(*roots))
    assert named(candidate) == (Bottleneck.NETWORK_LATENCY, "shop", "")
    assert candidate.saving.wait == pytest.approx([4 * 0.019] * 40)


def test_statements_that_are_slow_but_for_one_go_to_a_database_near_by() -> None:
    """The fourth takes 2 ms."""
    roots = [request(250, *_statements(20)[:3], query("SELECT d", 200, 202))] * 40
    assert found(find_network_latency, seen(*roots)) == []


def test_statements_that_are_fast_now_and_then_wait_for_no_network() -> None:
    """One request in twenty waits for nothing."""
    roots = [request(250, *_statements(2 if number % 20 == 0 else 40)) for number in range(60)]
    assert found(find_network_latency, seen(*roots)) == []


def test_statements_that_mostly_take_far_longer_wait_for_no_network() -> None:
    """Each takes at least 20 ms, and four of five take 60, as where a process stands still at times."""
    roots = [request(250, *_statements(60 if number % 5 else 20)) for number in range(40)]
    assert found(find_network_latency, seen(*roots)) == []


def test_two_slow_statements_tell_nothing_of_the_way() -> None:
    assert found(find_network_latency, seen(*[request(250, *_statements(20)[:2])] * 60)) == []


def test_a_far_database_is_the_verdict_and_may_be_a_slow_one() -> None:
    verdict = diagnose(seen(*each_later(request(100, *_statements(20)))))
    assert (verdict.bottleneck, verdict.service, verdict.operation) == (Bottleneck.NETWORK_LATENCY, "shop", "")
    assert "postgresql itself may be slow as a whole: it records no time of its own" in verdict.reasons


def test_statements_that_one_could_replace_come_before_their_long_way() -> None:
    """Ten of the thirteen are one statement."""
    root = request(300, *_statements(20)[:3], *queries("SELECT item", 10, start=70, each=20))
    assert diagnose(seen(*each_later(root))).bottleneck is Bottleneck.N_PLUS_ONE


def _statements(milliseconds: float, *, slow: float = 0) -> list[Node]:
    """Return four different statements, one after the other; two may be slower by so much."""
    found, at = [], 0.0
    for number, name in enumerate("abcd"):
        taken = milliseconds + slow * (number % 2)
        found.append(query(f"SELECT {name}", at, at + taken))
        at += taken
    return found


# --- All of them ------------------------------------------------------------------------------------------------------


def test_the_largest_candidate_comes_first() -> None:
    children = [query("BEGIN", 3, 4, waited=3), *queries("SELECT item", 7, start=4), call("send", 12, 20)]
    roots = [request(20, *children[:-1], query("COMMIT", 11, 12), children[-1])]
    candidates = find_candidates(seen(*roots), requests_in(seen(*roots)))
    assert [candidate.bottleneck for candidate in candidates] == [
        Bottleneck.SYNC_SIDE_EFFECT,
        Bottleneck.N_PLUS_ONE,
        Bottleneck.POOL,
    ]


@pytest.mark.parametrize(("whole", "count"), [(40, 1), (41, 0)])
def test_less_than_a_tenth_of_the_time_is_no_candidate(whole: float, count: int) -> None:
    observation = seen(request(whole, query("BEGIN", 6, 7, waited=4)))
    assert len(find_candidates(observation, requests_in(observation))) == count


def _asked(*, on_the_way: float, start: float = 0) -> Node:
    """Return a call that its server answers in 2 ms, as long on its way there as back."""
    half = on_the_way / 2
    answer = serve("answer", start + half, start + half + 2, service="stock")
    return call("ask", start, start + on_the_way + 2, answer)


def test_no_detector_groups_spans_by_a_name_that_may_hold_ids() -> None:
    """They use `operation_of` or `name_of`."""
    texts = {path.name: path.read_text() for path in Path(detectors.__file__).parent.glob("*.py")}
    assert [
        name for name, text in texts.items() if re.search(r"\[[^]]*span\.name\b|return [^\n]*span\.name\b", text)
    ] == []
