"""Detector of overload: the conditions of a finding, and the goodput predicted with load shedding."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.overload import find_overload
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation, ObservedObjective, Requests, TimedScrape
from observability.analysis.trees import Node
from observability.analysis.verdict import Answer
from tests.unit.analysis.seeing import busy, found, named, pool_scrape, queries, query, seen, serve

# Ten a second, for ten seconds.
COUNT, SECONDS = 100, 10.0
DEADLINE = 2.0
# A request that is done takes four steps, the answer's among them.
DONE, GIVEN_UP = 3, 1


def asked(number: int, took_seconds: float, statements: int) -> Node:
    """Return the request that began at its tenth of a second, with statements in its first milliseconds."""
    start = 100.0 * number
    return serve(
        "POST /things", start, start + 1e3 * took_seconds, *queries("SELECT item", statements, start=start + 1)
    )


def clients(latencies: Sequence[float], answered: Sequence[bool] = ()) -> Requests:
    """Return the requests as the clients measured them."""
    return Requests(0.0, SECONDS, COUNT / SECONDS, tuple(latencies), None, tuple(answered), DEADLINE)


def half_lost(*, lost_seconds: float = 2.5, done_seconds: float = 1.0, share_busy: float = 0.95) -> Observation:
    """Every other request is given up, after one of its three statements."""
    took = [lost_seconds if number % 2 else done_seconds for number in range(COUNT)]
    roots = [asked(number, took[number], GIVEN_UP if number % 2 else DONE) for number in range(COUNT)]
    answered = [not number % 2 for number in range(COUNT)]
    return seen(*roots, processes=busy(share_busy), clients=clients(took, answered))


def test_requests_that_fail_on_a_full_processor_are_overload() -> None:
    [candidate] = found(find_overload, half_lost())
    assert named(candidate) == (Bottleneck.OVERLOAD, "shop", "")


def test_overload_reports_goodput_utilisation_and_waste() -> None:
    """Five a second are of use, and five a second take 2.5 s for nothing."""
    [candidate] = found(find_overload, half_lost())
    assert candidate.evidence[0] == "5.0 of 10.0 requests a second got a useful answer within 2 s"
    assert candidate.evidence[1] == "the processor was 95% busy"
    assert candidate.evidence[3] == "on average 12.50 of the requests in progress never get a useful answer"


def test_shedding_turns_wasted_work_into_goodput() -> None:
    """Five a second take all of four steps, five a second half of them: that is enough for seven and a half."""
    [candidate] = found(find_overload, half_lost())
    assert candidate.goodput is not None
    assert candidate.goodput.before.value == pytest.approx(5.0)
    assert candidate.goodput.after.value == pytest.approx(7.5, rel=0.1)
    assert candidate.goodput.after.low < 7.5 < candidate.goodput.after.high


def test_the_ratio_is_defined_without_useful_requests() -> None:
    lost = [asked(number, 2.5, DONE if number % 4 else GIVEN_UP) for number in range(COUNT)]
    slow = [asked(number, 5.0, DONE + 3) if number % 10 == 0 else each for number, each in enumerate(lost)]
    observation = seen(*slow, processes=busy(0.95), clients=clients([2.5] * COUNT, [False] * COUNT))
    [candidate] = found(find_overload, observation)
    assert candidate.goodput is not None
    assert candidate.goodput.before.value == pytest.approx(0.05)
    assert 1 < candidate.goodput.ratio.low < candidate.goodput.ratio.value


def test_the_verdict_overload_predicts_goodput() -> None:
    verdict = diagnose(half_lost())
    assert (verdict.answer, verdict.bottleneck) == (Answer.FOUND, Bottleneck.OVERLOAD)
    assert verdict.sentence().startswith("overload: shop; 5.0 requests a second get a useful answer, and 7.")
    assert verdict.prediction is not None
    assert verdict.prediction.goodput is not None
    assert verdict.prediction.goodput.after.value == pytest.approx(7.5, rel=0.1)


def test_connections_held_for_the_processor_are_no_small_pool() -> None:
    """Half of the time of each request goes by before it has a connection."""
    waiting = [
        serve(
            "POST /things",
            100 * number,
            100 * number + 2500,
            query("BEGIN", 100 * number + 1, 100 * number + 2, waited=1250),
        )
        for number in range(COUNT)
    ]
    done = [asked(number, 1.0, DONE) for number in range(COUNT)]
    roots = [waiting[number] if number % 2 else done[number] for number in range(COUNT)]
    observation = replace(half_lost(), traces=seen(*roots).traces, scrapes=full_throughout())
    verdict = diagnose(observation)
    assert verdict.bottleneck is Bottleneck.OVERLOAD
    assert "pool in shop" in verdict.also


@pytest.mark.full
def test_the_cause_of_processor_load_outranks_overload() -> None:
    """Of 2.5 s, statements one after the other take two."""
    roots = [
        serve(
            "POST /things", 100 * number, 100 * number + 2500, *queries("SELECT item", 100, start=100 * number, each=20)
        )
        for number in range(COUNT)
    ]
    whole = replace(
        half_lost(), traces=seen(*roots[::2], *[asked(number, 2.5, 160) for number in range(1, COUNT, 2)]).traces
    )
    verdict = diagnose(whole)
    assert verdict.bottleneck is Bottleneck.N_PLUS_ONE


def full_throughout() -> tuple[TimedScrape, ...]:
    """Return a look at a pool each second, all of whose connections are in use."""
    return tuple(
        pool_scrape(at, used=2, waits=10 * at, wait_seconds=10.0 * at, hold_seconds=at)
        for at in range(1 + int(SECONDS))
    )


# --- No overload ------------------------------------------------------------------------------------------------------


def test_a_processor_that_has_time_left_is_not_overloaded() -> None:
    assert not found(find_overload, half_lost(share_busy=0.85))


def test_a_permanently_full_pool_is_overload_too() -> None:
    observation = replace(half_lost(share_busy=0.3), scrapes=full_throughout())
    [candidate] = found(find_overload, observation)
    assert candidate.evidence[1] == "all 2 connections of pool 'main' were in use in 100% of the scrapes"


def test_a_pool_with_a_free_connection_is_no_overload() -> None:
    looks = [
        replace(each, scrape=pool_scrape(at, used=1).scrape) if at % 6 == 0 else each
        for at, each in enumerate(full_throughout())
    ]
    assert not found(find_overload, replace(half_lost(share_busy=0.3), scrapes=tuple(looks)))


def test_a_queue_that_all_leave_in_time_is_no_overload() -> None:
    roots = [asked(number, 0.6, DONE) for number in range(COUNT)]
    observation = seen(*roots, processes=busy(0.5), scrapes=full_throughout(), clients=clients([0.6] * COUNT))
    assert not found(find_overload, observation)


def test_requests_shed_at_once_are_no_overload() -> None:
    assert not found(find_overload, half_lost(lost_seconds=0.1))


def test_a_surge_that_is_over_is_no_overload() -> None:
    """In the first half all but come to nothing, in the second none does."""
    took = [2.5] * 50 + [0.5] * 50
    roots = [asked(number, took[number], DONE) for number in range(COUNT)]
    observation = seen(*roots, processes=busy(0.95), clients=clients(took, [each < DEADLINE for each in took]))
    assert not found(find_overload, observation)


def test_a_busy_platform_that_keeps_up_is_not_overloaded() -> None:
    roots = [asked(number, 0.8, DONE) for number in range(COUNT)]
    assert not found(find_overload, seen(*roots, processes=busy(0.95), clients=clients([0.8] * COUNT)))


def test_requests_that_fail_after_all_work_are_no_overload() -> None:
    """As much is done as is asked for: something else is wrong with the answers."""
    roots = [asked(number, 2.5, DONE) for number in range(-30, COUNT)]
    observation = seen(*roots, processes=busy(0.95), clients=clients([2.5] * COUNT, [False] * COUNT))
    assert not found(find_overload, observation)


def test_without_a_word_of_the_clients_nothing_is_too_late() -> None:
    assert not found(find_overload, replace(half_lost(), requests=None))
    told = replace(clients([2.5] * COUNT), deadline_seconds=None)
    assert not found(find_overload, replace(half_lost(), requests=told))


def test_the_objective_is_the_deadline_if_there_is_no_other() -> None:
    told = replace(clients([2.5 if number % 2 else 1.0 for number in range(COUNT)]), deadline_seconds=None)
    assert found(find_overload, replace(half_lost(), requests=replace(told, objective=ObservedObjective(2.0, 0.99))))
