"""Detector of slow calls: what it reports, what not, and which class is named where several are there."""

import random
from dataclasses import replace

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.slow_call import find_slow_call
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import TableUse
from observability.analysis.spans import SpanKind, SpanStatus
from observability.analysis.trees import Node
from observability.analysis.verdict import Answer
from tests.unit.analysis.queueing import arrivals
from tests.unit.analysis.seeing import call, found, later, named, queries, query, request, saved_wait, seen, serve, step

# Of 100 ms, one statement takes 60.
SLOW = request(100, query("SELECT report", 10, 70), query("UPDATE item", 70, 71))


def test_a_statement_that_takes_most_of_the_time_is_a_slow_call() -> None:
    [candidate] = found(find_slow_call, seen(SLOW))
    assert named(candidate) == (Bottleneck.SLOW_CALL, "shop", "SELECT report")
    assert candidate.saving.wait == pytest.approx([0.050])


def test_the_evidence_states_the_most_that_a_fix_could_gain() -> None:
    [candidate] = found(find_slow_call, seen(SLOW))
    assert "60% of their time; a fix can gain no more than that" in candidate.evidence[1]


def test_a_call_to_a_service_that_records_nothing_counts() -> None:
    assert [named(each) for each in found(find_slow_call, seen(request(100, call("POST /charge", 10, 90))))] == [
        (Bottleneck.SLOW_CALL, "shop", "POST /charge")
    ]


def test_a_service_of_whose_inside_nothing_was_recorded_is_the_place() -> None:
    """The call takes 80 ms, and 78 of them are within the service that it goes to."""
    opaque = request(100, call("ask", 10, 90, serve("answer", 11, 89, service="stock")))
    [candidate] = found(find_slow_call, seen(opaque))
    assert named(candidate) == (Bottleneck.SLOW_CALL, "stock", "answer")
    assert candidate.saving.wait == pytest.approx([0.068])


def test_only_time_on_the_critical_path_counts() -> None:
    """The statement of 60 ms runs beside a call of 50 ms that ends last."""
    beside = request(100, query("SELECT report", 0, 60), call("ask", 45, 95, serve("answer", 46, 94, service="stock")))
    saved = {named(each)[2]: sum(each.saving.wait) for each in found(find_slow_call, seen(beside))}
    assert saved["SELECT report"] == pytest.approx(0.035)


def test_the_traces_named_are_those_that_waited_longest() -> None:
    roots = [request(200, query("SELECT report", 0, taken)) for taken in (60, 180, 90, 120)]
    [candidate] = found(find_slow_call, seen(*roots))
    assert candidate.trace_ids == ("trace 1", "trace 3", "trace 2")


@pytest.mark.parametrize(
    ("why", "root"),
    [
        ("it is fast, and the request short", request(9, query("SELECT report", 0, 8))),
        ("it is a small part of the request", request(300, query("SELECT report", 0, 20))),
        ("each of many is fast", request(100, *queries("SELECT item", 40, each=2))),
        (
            "others of the service are as slow",
            request(100, *(query(f"SELECT {name}", at, at + 20) for at, name in ((0, "a"), (20, "b"), (40, "c")))),
        ),
        ("its parts were recorded", request(100, call("ask", 0, 90, serve("answer", 0, 90, step("work", 0, 90))))),
        ("it is the request's own code", request(100, step("render", 0, 90))),
        ("it is the whole request", serve("GET /", 0, 90)),
        ("the begin of a transaction waits for a connection", request(100, query("BEGIN", 0, 90))),
        ("the answer does not wait for it", request(100, step("consume", 0, 90, kind=SpanKind.CONSUMER))),
    ],
)
def test_no_slow_call_where(why: str, root: Node) -> None:
    assert found(find_slow_call, seen(root)) == [], why


def test_a_call_that_few_requests_make_is_judged_by_those() -> None:
    """One request in ten makes it and waits 60 of its 100 ms; the others take 100 ms without it."""
    roots = [request(100), *[request(100, step("work", 0, 90))] * 8, SLOW]
    assert saved_wait(find_slow_call, seen(*roots)) == pytest.approx([0] * 9 + [0.050])


# --- Which class is named ---------------------------------------------------------------------------------------------


def test_a_slow_call_is_named_with_the_gain_of_a_fast_one() -> None:
    """It could take 10 ms instead of 60, or 35: the interval holds both."""
    verdict = diagnose(seen(*[SLOW] * 30))
    assert (verdict.answer, verdict.bottleneck, verdict.operation) == (
        Answer.FOUND,
        Bottleneck.SLOW_CALL,
        "SELECT report",
    )
    assert verdict.prediction is not None
    after = verdict.prediction.after["p50"]
    assert (after.value, after.low, after.high) == pytest.approx((0.050, 0.025, 0.075))


def test_a_slow_call_that_is_fast_at_times_is_less_sure() -> None:
    """A fifth of the calls takes 5 ms."""
    slow, fast = SLOW, request(45, query("SELECT report", 10, 15))
    always, at_times = diagnose(seen(*[slow] * 40)), diagnose(seen(*[slow] * 32, *[fast] * 8))
    assert (always.bottleneck, at_times.bottleneck) == (Bottleneck.SLOW_CALL, Bottleneck.SLOW_CALL)
    assert (always.confidence, at_times.confidence) == ("medium", "low")


def test_calls_that_vary_widely_and_never_overlap_may_wait_for_a_lock() -> None:
    """Every second one takes 1.5 s instead of 0.3: one request in ten was recorded, and what held it up was not."""
    roots = [later(_reported(1_500 if number % 2 else 300), 5_000 * number) for number in range(40)]
    verdict = diagnose(seen(*roots))
    assert verdict.answer is Answer.CANNOT_TELL
    assert verdict.reasons[-1].startswith(
        "these calls take 900 ms on average but 300 ms at their fastest, and only 0 of"
    )


def test_calls_that_vary_widely_and_overlap_wait_for_no_other() -> None:
    """They began at random times and ended as they had to."""
    source = random.Random(1)
    roots = [
        later(_reported(1_500 if number % 2 else 300), at)
        for number, at in enumerate(arrivals(200, each=600, source=source))
    ]
    verdict = diagnose(seen(*roots))
    assert (verdict.answer, verdict.bottleneck) == (Answer.FOUND, Bottleneck.SLOW_CALL)


def _reported(milliseconds: float) -> Node:
    return request(milliseconds + 20, query("SELECT report", 10, 10 + milliseconds))


def test_slow_statements_in_a_row_are_an_n_plus_one_alone() -> None:
    verdict = diagnose(seen(*[request(100, *queries("SELECT item", 4, each=20))] * 30))
    assert (verdict.bottleneck, verdict.also) == (Bottleneck.N_PLUS_ONE, ())


def test_a_statement_without_an_index_is_that_alone() -> None:
    table = TableUse("main", "report", 60, 6_000_000, index_scans=0, index_rows_fetched=0, live_rows=100_000)
    verdict = diagnose(seen(*[SLOW] * 30, tables=[table]))
    assert (verdict.bottleneck, verdict.also) == (Bottleneck.MISSING_INDEX, ())


def test_a_call_after_the_last_commit_is_a_side_effect_alone() -> None:
    root = request(100, query("COMMIT", 10, 11), call("send", 12, 90))
    verdict = diagnose(seen(*[root] * 30))
    assert (verdict.bottleneck, verdict.also) == (Bottleneck.SYNC_SIDE_EFFECT, ())


def test_a_pool_that_a_slow_statement_fills_is_a_slow_call() -> None:
    """50 ms of waiting for a connection, which the statement holds for 60."""
    root = request(150, query("UPDATE item", 50, 51, waited=50), query("SELECT report", 51, 111))
    verdict = diagnose(seen(*[root] * 30))
    assert (verdict.bottleneck, verdict.also) == (Bottleneck.SLOW_CALL, ("pool in shop",))


def test_statements_with_a_summary_are_grouped_by_it() -> None:
    slow = query("SELECT", 10, 70)
    summed_up = Node(replace(slow.span, attributes={**slow.span.attributes, "db.query.summary": "SELECT report"}), ())
    [candidate] = found(find_slow_call, seen(request(100, summed_up)))
    assert candidate.operation == "SELECT report"


def test_retries_of_a_call_that_one_for_all_would_replace_go_with_it() -> None:
    """Ten calls of a store, of which two fail and are repeated: one for all needs no retries of these."""
    failed = [replace(query("GET key", at, at + 5).span, status=SpanStatus.ERROR) for at in (0, 5)]
    root = request(100, *(Node(span, ()) for span in failed), *queries("GET key", 10, start=10, each=5))
    verdict = diagnose(seen(*[root] * 30))
    assert (verdict.bottleneck, verdict.also) == (Bottleneck.N_PLUS_ONE, ())


def test_a_service_that_stands_for_a_database_is_asked_statements() -> None:
    """Spans by hand name the store as their service, and say no more."""
    calls = [call("GetDriver", at, at + 5, service="redis-manual") for at in range(0, 50, 5)]
    assert diagnose(seen(*[request(100, *calls)] * 30)).bottleneck is Bottleneck.N_PLUS_ONE


@pytest.mark.parametrize(("count", "named_as"), [(29, None), (30, Bottleneck.SLOW_CALL)])
def test_calls_that_vary_moderately_are_undecided_only_where_there_are_few(
    count: int, named_as: Bottleneck | None
) -> None:
    """No two overlap; they take 1.7 times as long on average as the fastest tenth."""
    roots = [
        later(request(slowest + 2, query("SELECT report", 1, 1 + slowest)), 1_000 * number)
        for number, slowest in enumerate((20 if number % 5 == 0 else 38) for number in range(count))
    ]
    assert diagnose(seen(*roots)).bottleneck is named_as
