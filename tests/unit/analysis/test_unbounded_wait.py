"""Detector of calls without a timeout that outlast the deadline, and the goodput predicted with a timeout."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.unbounded_wait import find_unbounded_wait
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation, Requests
from observability.analysis.spans import SpanStatus
from observability.analysis.trees import Node
from observability.analysis.verdict import Answer
from tests.unit.analysis.seeing import call, found, named, query, request, saved_wait, seen, serve

DEADLINE = 2.0
QUICK = request(50, call("ask", 10, 40, serve("answer", 11, 39, service="stock")))
# Its call takes five seconds, and its own work ten milliseconds.
STUCK = request(5010, call("ask", 5, 5005, serve("answer", 6, 5004, service="stock")))


def observed(*roots: Node, took: Sequence[float] = ()) -> Observation:
    """Return requests within ten seconds, with the latencies that their clients measured."""
    latencies = tuple(took or (root.span.duration_nanoseconds / 1e9 for root in roots))
    told = Requests(0.0, 10.0, len(roots) / 10, latencies, None, (True,) * len(latencies), DEADLINE)
    return seen(*roots, clients=told)


THIRD = observed(*[STUCK] * 20, *[QUICK] * 40)


def given_up(node: Node) -> Node:
    """Return the same call, cancelled by its caller."""
    attributes = {**node.span.attributes, "rpc.response.status_code": "DEADLINE_EXCEEDED"}
    return Node(replace(node.span, attributes=attributes, status=SpanStatus.ERROR), node.children)


def test_calls_that_outlast_the_deadline_are_an_unbounded_wait() -> None:
    [candidate] = found(find_unbounded_wait, THIRD)
    assert named(candidate) == (Bottleneck.UNBOUNDED_WAIT, "shop", "ask")


def test_an_unbounded_wait_reports_counts_and_durations() -> None:
    [candidate] = found(find_unbounded_wait, THIRD)
    assert candidate.evidence == (
        "20 of 60 calls of shop took longer than 2 s, and up to 5.0 s",
        "half of them took at most 30 ms, and none timed out before the deadline",
        "4.0 of 6.0 requests a second got a useful answer within 2 s",
    )


def test_the_fix_cuts_calls_at_the_rest_of_the_deadline() -> None:
    assert saved_wait(find_unbounded_wait, THIRD)[19:21] == pytest.approx((3.01, 0.0))


def test_then_all_are_answered_in_time() -> None:
    [candidate] = found(find_unbounded_wait, THIRD)
    assert candidate.goodput is not None
    assert candidate.goodput.before.value == pytest.approx(4.0)
    assert candidate.goodput.after.value == pytest.approx(6.0)
    assert candidate.goodput.ratio.value == pytest.approx(1.5)


def test_a_request_late_by_its_own_work_stays_late() -> None:
    """Three seconds of its own, and five that it waits."""
    late = request(8000, call("ask", 3000, 8000))
    [candidate] = found(find_unbounded_wait, observed(*[late] * 10, *[STUCK] * 10, *[QUICK] * 40))
    assert candidate.goodput is not None
    assert candidate.goodput.after.value == pytest.approx(5.0)
    assert candidate.saving.wait[:10] == (0.0,) * 10


def test_the_outermost_call_is_the_one_that_needs_a_limit() -> None:
    """Who is called waits for a third, as long as its own caller lets it."""
    further = call("ask further", 6, 5003, serve("answer", 7, 5002, service="third"), service="stock")
    chain = request(5010, call("ask", 5, 5005, serve("answer", 6, 5004, further, service="stock")))
    [candidate] = found(find_unbounded_wait, observed(*[chain] * 20, *[QUICK] * 40))
    assert named(candidate) == (Bottleneck.UNBOUNDED_WAIT, "shop", "ask")


def test_the_verdict_unbounded_wait_predicts_goodput() -> None:
    verdict = diagnose(THIRD)
    assert (verdict.answer, verdict.bottleneck, verdict.operation) == (Answer.FOUND, Bottleneck.UNBOUNDED_WAIT, "ask")
    assert verdict.prediction is not None
    assert verdict.prediction.goodput is not None


def test_a_known_cause_of_slow_calls_outranks_the_wait() -> None:
    """They wait for a connection, and a pool that has enough makes them quick again."""
    waiting = query("BEGIN", 7, 5003, service="stock", waited=4990)
    stuck = request(5010, call("ask", 5, 5005, serve("answer", 6, 5004, waiting, service="stock")))
    verdict = diagnose(observed(*[stuck] * 20, *[QUICK] * 40))
    assert verdict.bottleneck is Bottleneck.POOL
    assert verdict.also == ("unbounded_wait in shop ask",)


# --- No unbounded wait ------------------------------------------------------------------------------------------------


def test_calls_that_are_given_up_in_time_have_a_limit() -> None:
    limited = request(1050, given_up(call("ask", 10, 1010)))
    assert not found(find_unbounded_wait, observed(*[limited] * 20, *[QUICK] * 40))
    assert not found(find_unbounded_wait, observed(*[limited] * 5, *[STUCK] * 20, *[QUICK] * 40))


def test_a_cancellation_long_after_the_deadline_is_no_bound() -> None:
    """Ten seconds are no limit to who waits for two."""
    gone = request(10_000, given_up(call("ask", 10, 9_990)))
    assert found(find_unbounded_wait, observed(*[gone] * 20, *[QUICK] * 40))


def test_a_few_slow_calls_are_not_worth_a_name() -> None:
    assert not found(find_unbounded_wait, observed(*[STUCK] * 5, *[QUICK] * 55))


def test_calls_that_are_slow_and_in_time_need_no_limit() -> None:
    slow = request(1900, call("ask", 5, 1895))
    assert not found(find_unbounded_wait, observed(*[slow] * 30, *[QUICK] * 30))


def test_statements_are_no_calls_to_another_service() -> None:
    stuck = request(5010, query("SELECT item", 5, 5005))
    assert not found(find_unbounded_wait, observed(*[stuck] * 20, *[QUICK] * 40))


def test_without_a_deadline_no_call_is_too_long() -> None:
    assert not found(find_unbounded_wait, replace(THIRD, requests=None))
    assert THIRD.requests is not None
    assert not found(find_unbounded_wait, replace(THIRD, requests=replace(THIRD.requests, deadline_seconds=None)))
