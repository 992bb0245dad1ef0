"""Detector of retry storms: attempts per call, the time that retries take, and when no storm is reported."""

from dataclasses import replace

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.retries import find_retries, retried_calls, retry_summaries
from observability.analysis.observation import Observation
from observability.analysis.spans import SpanStatus
from observability.analysis.trees import Node
from tests.unit.analysis.seeing import call, found, named, request, requests_in, saved_wait, saved_work, seen, serve


def failed(node: Node) -> Node:
    """Return the same span, which ended in an error."""
    return Node(replace(node.span, status=SpanStatus.ERROR), node.children)


def asked(start: float, end: float, *, served: bool = True) -> Node:
    """Return a call of 'ask', of which its server took the middle."""
    below = [serve("answer", start + 1, end - 1, service="stock")] if served else []
    return call("ask", start, end, *below)


def retried(*, served: bool = True) -> Node:
    """Return a request of 50 ms with one call: attempts of 10, 4 and 8 ms, with 6 and 5 ms of back-off between them."""
    return request(
        50, failed(asked(0, 10, served=served)), failed(asked(16, 20, served=served)), asked(25, 33, served=served)
    )


ONCE = request(20, asked(1, 9))
STORM = seen(*[retried()] * 30)


def test_a_call_that_takes_several_attempts_is_a_retry_storm() -> None:
    [candidate] = found(find_retries, STORM)
    assert named(candidate) == (Bottleneck.RETRY_STORM, "shop", "ask")


def test_calls_with_ids_in_their_names_are_one_operation() -> None:
    roots = []
    for item in range(1_000, 1_030):
        name = f"GET /items/{item}"
        roots.append(request(50, failed(call(name, 0, 20)), call(name, 30, 40)))
    [candidate] = found(find_retries, seen(*roots))
    assert named(candidate) == (Bottleneck.RETRY_STORM, "shop", "GET /items/{id}")
    [retried_call] = retried_calls(requests_in(seen(*roots)))
    assert (retried_call.calls, retried_call.attempts) == (30, 60)


def test_the_fix_saves_failed_attempts_and_back_off() -> None:
    observation = seen(*[retried()] * 2, ONCE)
    assert saved_wait(find_retries, observation) == pytest.approx((0.025, 0.025, 0.0))
    assert saved_work(find_retries, observation) == (0.0, 0.0, 0.0)


def test_calls_to_one_server_are_one_candidate() -> None:
    """The one that costs most gives the name."""
    both = request(60, failed(call("a", 0, 2)), call("a", 3, 5), failed(call("b", 10, 30)), call("b", 31, 33))
    [candidate] = found(find_retries, seen(*[both] * 10))
    assert named(candidate) == (Bottleneck.RETRY_STORM, "shop", "b")
    assert saved_wait(find_retries, seen(*[both] * 10)) == pytest.approx((0.024,) * 10)


def test_calls_of_two_servers_are_two_storms() -> None:
    there = request(60, failed(_to("a", call("ask", 0, 20))), _to("a", call("ask", 21, 23)))
    elsewhere = request(60, failed(_to("b", call("tell", 0, 20))), _to("b", call("tell", 21, 23)))
    assert len(found(find_retries, seen(*[there, elsewhere] * 10))) == 2


def test_wasted_work_delays_the_last_attempt() -> None:
    """It takes 8 ms in most requests and 30 ms in the others: 22 ms of them are the storm's."""
    behind = request(70, failed(asked(0, 10)), failed(asked(16, 20)), asked(25, 55))
    assert saved_wait(find_retries, seen(retried(), retried(), behind)) == pytest.approx((0.025, 0.025, 0.047))


def test_where_less_of_it_is_the_last_attempt_is_as_it_would_be() -> None:
    slow = request(70, failed(asked(0, 10)), asked(16, 46))
    quick = request(70, failed(asked(0, 10)), asked(16, 24))
    assert saved_wait(find_retries, seen(slow, quick, ONCE)) == pytest.approx((0.016, 0.016, 0.0))


def test_a_retry_storm_reports_attempts_and_their_cost() -> None:
    """Of two requests, 70 ms in all, one takes three attempts, and 25 ms for the first two."""
    [candidate] = found(find_retries, seen(retried(), ONCE))
    assert candidate.evidence == (
        "2.00 attempts per call of ask in shop; failed attempts and back-off take 36% of the requests' time",
        "servers received 2.00 attempts per call",
    )


def test_one_call_in_ten_that_is_tried_twice_is_enough() -> None:
    twice = request(40, failed(asked(0, 10)), asked(16, 24))
    assert found(find_retries, seen(twice, *[ONCE] * 9))
    assert not found(find_retries, seen(twice, *[ONCE] * 10))


def test_attempts_that_reach_no_server_load_none() -> None:
    """Ten requests of three attempts, two of which are refused before they get there."""
    refused = request(40, failed(asked(0, 10, served=False)), failed(asked(16, 20, served=False)), asked(25, 33))
    assert not found(find_retries, seen(*[refused] * 10))


def test_where_servers_write_no_spans_the_attempts_count() -> None:
    [candidate] = found(find_retries, seen(*[retried(served=False)] * 10))
    assert len(candidate.evidence) == 1


def test_attempts_within_one_client_span_count() -> None:
    servers = (failed(serve("answer", 1, 5, service="stock")), serve("answer", 15, 19, service="stock"))
    observation = seen(*[request(30, call("ask", 0, 20, *servers))] * 10)
    [candidate] = found(find_retries, observation)
    assert named(candidate) == (Bottleneck.RETRY_STORM, "shop", "ask")
    assert saved_wait(find_retries, observation) == pytest.approx((0.014,) * 10)


def test_many_successful_calls_are_no_storm() -> None:
    assert not found(find_retries, seen(*[request(40, asked(0, 10), asked(16, 20), asked(25, 33))] * 30))


def test_retries_that_cost_next_to_nothing_are_not_worth_a_word() -> None:
    """0.3 ms of a second."""
    quick = request(1_000, failed(call("ask", 0, 0.2)), call("ask", 0.3, 0.5))
    assert _in_words(seen(*[quick] * 10)) == ()
    assert _in_words(STORM) == (
        "3.00 attempts per call of ask in shop; failed attempts and back-off take 50% of the requests' time",
    )


def test_the_most_expensive_call_comes_first() -> None:
    both = request(60, failed(call("a", 0, 2)), call("a", 3, 5), failed(call("b", 10, 30)), call("b", 31, 33))
    assert [each.operation for each in retried_calls(requests_in(seen(both)))] == ["b", "a"]


def test_without_requests_there_are_none() -> None:
    assert retry_summaries(()) == ()


def _to(address: str, node: Node) -> Node:
    """Return the same call, of the server at an address."""
    return Node(replace(node.span, attributes={**node.span.attributes, "server.address": address}), node.children)


def _in_words(observation: Observation) -> tuple[str, ...]:
    return retry_summaries(requests_in(observation))
