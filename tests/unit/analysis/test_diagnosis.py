"""Verdict of the diagnosis: a bottleneck, none, or the reason why it cannot tell."""

import random
from dataclasses import replace

import orjson
import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation, Requests
from observability.analysis.spans import Link, SpanKind, SpanStatus
from observability.analysis.trees import Node, Trace
from observability.analysis.verdict import Answer, Verdict
from tests.unit.analysis.seeing import (
    busy,
    call,
    each_later,
    full_pool,
    looks,
    queries,
    query,
    request,
    seen,
    serve,
    session,
    step,
    trace_of,
)

HEALTHY = request(20, query("SELECT item", 1, 2))
# Nothing takes a third of it.
SPREAD = request(20, query("SELECT item", 1, 6), query("UPDATE item", 6, 11), query("COMMIT", 11, 16))
# Of 20 ms, 9 statements take 9.
N_PLUS_ONE = request(20, *queries("SELECT item", 9, start=10))
# Of 20 ms, 10 are waited for a connection.
POOL = request(20, query("BEGIN", 10, 11, waited=10))


# --- Cannot tell ------------------------------------------------------------------------------------------------------


def test_29_requests_are_too_few_to_say_that_there_is_no_bottleneck() -> None:
    verdict = diagnose(seen(*each_later(HEALTHY, 29), processes=busy(0.3)))
    assert (verdict.answer, verdict.requests) == (Answer.CANNOT_TELL, 29)
    assert verdict.reasons == (
        "29 complete requests were recorded, which show no bottleneck; 30 are needed to say that there is none",
    )


def test_5_requests_with_a_bottleneck_are_enough_to_name_it() -> None:
    verdict = diagnose(seen(*[N_PLUS_ONE] * 5))
    assert _named(verdict) == (Bottleneck.N_PLUS_ONE, "shop", "SELECT item")
    assert "5 complete requests were recorded" in verdict.reasons


def test_4_requests_are_too_few_for_any_diagnosis() -> None:
    assert diagnose(seen(*[N_PLUS_ONE] * 4)).reasons == ("4 complete requests were recorded; 30 are needed",)


def test_a_bottleneck_in_4_of_29_requests_may_be_chance() -> None:
    slow = request(420, query("BEGIN", 401, 402, waited=400))
    assert diagnose(seen(*[HEALTHY] * 25, *[slow] * 4)).answer is Answer.CANNOT_TELL


def test_an_empty_observation_has_no_diagnosis() -> None:
    assert diagnose(seen()).answer is Answer.CANNOT_TELL


def test_more_broken_traces_than_complete_ones_prevent_a_diagnosis() -> None:
    verdict = diagnose(_with_broken(seen(*[N_PLUS_ONE] * 40), 41))
    assert verdict.answer is Answer.CANNOT_TELL
    assert verdict.reasons == (
        "51% of the traces lack spans, too many to judge: record every span, without sampling",
        "41 traces lack their first span, so it is unknown which requests they belong to",
    )


def test_broken_traces_of_half_of_the_requests_are_borne_and_reported() -> None:
    verdict = diagnose(_with_broken(seen(*[N_PLUS_ONE] * 40), 40))
    assert verdict.answer is Answer.FOUND
    assert "40 traces lack their first span, so it is unknown which requests they belong to" in verdict.reasons


def test_a_busy_processor_that_no_class_explains_is_not_nothing() -> None:
    verdict = diagnose(seen(*each_later(HEALTHY), processes=busy(0.7)))
    assert verdict.answer is Answer.CANNOT_TELL
    unexplained = "the processor is 70% busy, which no known class of bottleneck explains"
    assert verdict.reasons == (f"{unexplained}: shop uses 0.70 of 1 processors (one thread)",)


def test_unexplained_database_waits_are_not_healthy() -> None:
    """30 requests took 0.6 s, and a session waited for 0.09 s of that, which cannot be less than 0.06 s by chance."""
    samples = looks(*[[session("NewKind")], []] * 30, each_seconds=0.003)
    verdict = diagnose(seen(*each_later(HEALTHY), processes=busy(0.3), sessions=samples))
    assert verdict.answer is Answer.CANNOT_TELL
    assert verdict.reasons == (
        "database sessions wait for NewKind for 15% of the requests' time, which no known class of bottleneck explains",
    )


def test_waits_that_were_seen_too_seldom_may_be_chance() -> None:
    """A fifth of the time, of which one look in two tells."""
    samples = looks([session("NewKind")], [], each_seconds=0.12)
    assert diagnose(seen(*each_later(HEALTHY), processes=busy(0.3), sessions=samples)).answer is Answer.NONE


def test_requests_of_no_duration_have_no_diagnosis() -> None:
    assert diagnose(seen(*[request(0)] * 30, sessions=looks([session("Lock")], []))).answer is Answer.CANNOT_TELL


# --- Found ------------------------------------------------------------------------------------------------------------


def test_a_fault_in_few_requests_that_takes_much_of_all_time_is_named() -> None:
    """A twentieth of the requests waits for 0.51 of all time; p90 and half of them never see it."""
    slow = request(420, query("BEGIN", 401, 402, waited=400))
    verdict = diagnose(seen(*[HEALTHY] * 570, *[slow] * 30))
    assert _named(verdict) == (Bottleneck.POOL, "shop", "")
    assert verdict.place is not None
    assert verdict.place.share.value == pytest.approx(30 * 400 / (570 * 20 + 30 * 420))


def test_the_gain_of_such_a_fault_is_in_the_mean() -> None:
    """A tenth of the requests waits for 400 ms of 420: the mean falls from 60 ms to 20, and p50 stays."""
    slow = request(420, query("BEGIN", 401, 402, waited=400))
    verdict = diagnose(seen(*[HEALTHY] * 270, *[slow] * 30))
    after = verdict.mean_after_fix_seconds
    assert verdict.prediction is not None
    assert after is not None
    assert (verdict.mean_seconds, after.value) == pytest.approx((0.060, 0.020))
    # The model error is a fifth of the 40 ms that are saved.
    assert after.low <= 0.012 < after.value < 0.028 <= after.high
    assert verdict.prediction.ratio["p50"].value == 1.0


def test_a_fault_of_the_fast_majority_is_named_though_p95_stays() -> None:
    """Nine in ten are quick, and the wait is all theirs: p95 stays, but 0.38 of all time goes."""
    quick, slow = request(20, query("BEGIN", 10, 11, waited=10)), request(60)
    assert diagnose(seen(*[quick] * 36, *[slow] * 4)).bottleneck is Bottleneck.POOL


def test_a_bottleneck_has_a_class_a_place_and_a_share() -> None:
    """Of 20 ms, the statements take 9, and one for all would take 1."""
    verdict = diagnose(seen(*[N_PLUS_ONE] * 30))
    assert _named(verdict) == (Bottleneck.N_PLUS_ONE, "shop", "SELECT item")
    assert verdict.share == pytest.approx(0.4)
    assert (verdict.requests, verdict.also) == (30, ())


def test_a_diagnosis_predicts_the_gain_of_the_fix() -> None:
    prediction = diagnose(seen(*[N_PLUS_ONE] * 30)).prediction
    assert prediction is not None
    assert (prediction.before["p95"], prediction.after["p95"].value) == pytest.approx((0.02, 0.012))


def test_client_latency_counts() -> None:
    clients = Requests(0, 10, 3.0, (0.05,) * 30)
    prediction = diagnose(seen(*[N_PLUS_ONE] * 30, clients=clients)).prediction
    assert prediction is not None
    assert (prediction.before["p95"], prediction.after["p95"].value) == pytest.approx((0.05, 0.042))


def test_confidence_is_high_with_metrics_and_one_candidate() -> None:
    verdict = diagnose(seen(*[POOL] * 30, scrapes=full_pool(), processes=busy(0.3)))
    assert verdict.confidence == "high"


def test_confidence_is_lower_where_the_processor_is_swamped() -> None:
    """Everything waits for it then."""
    verdict = diagnose(seen(*[POOL] * 30, scrapes=full_pool(), processes=busy(0.95)))
    assert verdict.confidence == "medium"


def test_confidence_does_not_need_the_processor_to_be_known() -> None:
    assert diagnose(seen(*[POOL] * 30, scrapes=full_pool())).confidence == "high"


def test_from_traces_alone_confidence_is_medium() -> None:
    assert diagnose(seen(*[N_PLUS_ONE] * 30)).confidence == "medium"


def test_a_small_share_lowers_confidence() -> None:
    """Of 60 ms one statement for all saves 8."""
    small = request(60, *queries("SELECT item", 9, start=10))
    assert diagnose(seen(*[small] * 30)).confidence == "low"


def test_a_rival_that_explains_half_as_much_lowers_confidence() -> None:
    """One statement for all saves 8 ms of 30, and a call after the last commit takes 15."""
    both = request(30, *queries("SELECT item", 9), query("COMMIT", 10, 11), call("send", 12, 27))
    assert diagnose(seen(*[both] * 30)).confidence == "low"


def test_a_larger_call_that_no_class_explains_is_not_passed_over() -> None:
    """Of 20 ms, one statement for five saves 4, and one call of another service takes 7."""
    elsewhere = serve("answer", 2, 10, call("search", 2.5, 9.5, service="stock"), service="stock")
    both = request(20, call("ask", 1.5, 10.5, elsewhere), *queries("SELECT item", 5, start=11))
    verdict = diagnose(seen(*[both] * 30, scrapes=full_pool(), processes=busy(0.3)))
    assert verdict.bottleneck is Bottleneck.N_PLUS_ONE
    assert (
        "even more, 35% of the time, goes to search of stock; no known class of bottleneck explains that"
        in verdict.reasons
    )
    assert verdict.confidence == "medium"


# --- Which of several -------------------------------------------------------------------------------------------------


def test_the_largest_candidate_is_named_and_others_listed() -> None:
    both = request(30, *queries("SELECT item", 9), query("COMMIT", 10, 11), call("send", 12, 27))
    verdict = diagnose(seen(*[both] * 30))
    assert verdict.bottleneck is Bottleneck.SYNC_SIDE_EFFECT
    assert verdict.also == ("n_plus_one in shop SELECT item",)


def test_a_pool_that_an_n_plus_one_fills_is_an_n_plus_one() -> None:
    """10 ms of waiting for a connection, and 9 ms of statements that hold one."""
    both = request(30, query("BEGIN", 10, 11, waited=10), *queries("SELECT item", 9, start=12))
    verdict = diagnose(seen(*[both] * 30, scrapes=full_pool()))
    assert verdict.bottleneck is Bottleneck.N_PLUS_ONE
    assert verdict.also == ("pool in shop",)


def test_a_pool_that_an_n_plus_one_hardly_fills_is_a_pool() -> None:
    """Waits of 20 ms are more than twice what one statement for all would save: 5 ms."""
    both = request(40, query("BEGIN", 20, 21, waited=20), *queries("SELECT item", 6, start=22))
    verdict = diagnose(seen(*[both] * 30, scrapes=full_pool()))
    assert verdict.bottleneck is Bottleneck.POOL


def test_an_n_plus_one_of_another_service_does_not_fill_the_pool() -> None:
    elsewhere = serve("answer", 12, 22, *queries("SELECT item", 9, start=12, service="stock"), service="stock")
    both = request(30, query("BEGIN", 10, 11, waited=10), call("ask", 12, 22, elsewhere))
    verdict = diagnose(seen(*[both] * 30, scrapes=full_pool()))
    assert _named(verdict) == (Bottleneck.POOL, "shop", "")


# --- What is said beside it -------------------------------------------------------------------------------------------


def test_retries_are_reported_with_any_verdict() -> None:
    """Of 20 ms, 0.4 ms are a failed attempt and back-off."""
    refused = Node(replace(call("ask", 1, 1.2).span, status=SpanStatus.ERROR), ())
    calls = refused, call("ask", 1.4, 2), query("SELECT item", 2, 8), query("COMMIT", 8, 14)
    verdict = diagnose(seen(*each_later(request(20, *calls)), processes=busy(0.3)))
    assert verdict.answer is Answer.NONE
    assert (
        "2.00 attempts per call of ask in shop; failed attempts and back-off take 2% of the requests' time"
        in verdict.reasons
    )


def test_wasted_work_is_reported() -> None:
    verdict = diagnose(seen(*[request(20, step("late", 18, 25))] * 30))
    assert "5.0 ms of work per request ran on after its caller had ended" in verdict.reasons


def test_effects_are_reported_with_any_verdict() -> None:
    observation = seen(*[HEALTHY] * 2)
    consumed = step("consume", 30, 35, kind=SpanKind.CONSUMER, service="mail")
    links = tuple(Link(trace.trace_id, trace.roots[0].span.span_id) for trace in observation.traces)
    batch = trace_of(Node(replace(consumed.span, links=links), ()), 7)
    [effect] = diagnose(replace(observation, later_traces=(batch,))).effects
    assert (effect.service, effect.operation, effect.requests) == ("mail", "consume", 2)
    assert effect.seconds_p95 == pytest.approx(0.035)


# --- The same each time -----------------------------------------------------------------------------------------------


def test_the_order_of_traces_says_nothing() -> None:
    roots = [request(20 + number, *queries("SELECT item", 3 + number, start=0)) for number in range(12)] * 3
    observation = seen(*roots)
    shuffled = list(observation.traces)
    random.Random(3).shuffle(shuffled)
    assert _named(diagnose(replace(observation, traces=tuple(shuffled)))) == _named(diagnose(observation))


def test_the_same_observation_gives_the_same_bytes() -> None:
    observation = seen(*[N_PLUS_ONE] * 30, scrapes=full_pool(), processes=busy(0.5))
    assert orjson.dumps(diagnose(observation)) == orjson.dumps(diagnose(observation))


def _named(verdict: Verdict) -> tuple[Bottleneck | None, str, str]:
    return verdict.bottleneck, verdict.service, verdict.operation


def _with_broken(observation: Observation, count: int) -> Observation:
    """Add traces whose root was lost."""
    lost: Node = step("lost", 0, 1)
    broken = tuple(Trace(f"broken {number}", (), (lost,), 1) for number in range(count))
    return replace(observation, traces=observation.traces + broken)
