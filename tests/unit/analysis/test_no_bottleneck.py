"""Verdicts of a diagnosis that finds no bottleneck, and what it says of an objective."""

import pytest

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import ObservedObjective, Requests
from observability.analysis.verdict import Answer
from tests.unit.analysis.seeing import (
    busy,
    each_later,
    looks,
    queries,
    query,
    request,
    seen,
    session,
)

HEALTHY = request(20, query("SELECT item", 1, 2))
# Nothing takes a third of it.
SPREAD = request(20, query("SELECT item", 1, 6), query("UPDATE item", 6, 11), query("COMMIT", 11, 16))
# Of 20 ms, 9 statements take 9.
N_PLUS_ONE = request(20, *queries("SELECT item", 9, start=10))
# Of 20 ms, 10 are waited for a connection.
POOL = request(20, query("BEGIN", 10, 11, waited=10))


def test_where_nothing_is_wrong_there_is_no_bottleneck() -> None:
    verdict = diagnose(seen(*each_later(HEALTHY), processes=busy(0.69), sessions=looks([], [])))
    assert (verdict.answer, verdict.bottleneck, verdict.confidence) == (Answer.NONE, None, "high")
    assert (verdict.service, verdict.operation, verdict.share) == ("", "", 0.0)


def test_then_all_is_predicted_to_stay_as_it_is() -> None:
    prediction = diagnose(seen(*each_later(HEALTHY), processes=busy(0.3))).prediction
    assert prediction is not None
    assert (prediction.predictor, prediction.before, prediction.after["p95"].value) == (
        "none",
        {"p50": 0.02, "p95": 0.02},
        0.02,
    )


def test_without_database_sessions_that_is_less_sure() -> None:
    assert diagnose(seen(*each_later(HEALTHY), processes=busy(0.3))).confidence == "medium"


def test_without_an_objective_and_the_processor_nothing_is_called_healthy() -> None:
    verdict = diagnose(seen(*[SPREAD] * 30))
    assert verdict.answer is Answer.CANNOT_TELL
    assert verdict.reasons[0].startswith("nothing stands out, but everything may be equally slow")


def test_a_met_objective_and_nothing_that_stands_out_are_healthy() -> None:
    verdict = diagnose(seen(*[SPREAD] * 30, clients=_promised(0.95, kept=95)))
    assert (verdict.answer, verdict.confidence) == (Answer.NONE, "medium")


def test_code_that_no_processor_time_accounts_for_is_not_called_healthy() -> None:
    """30 requests spend 0.57 s in code, and the process works for 0.2 s."""
    verdict = diagnose(seen(*each_later(HEALTHY), processes=busy(0.02)))
    assert verdict.answer is Answer.CANNOT_TELL
    assert verdict.reasons == ("95% of the time goes to own code of shop; it is unknown whether it computes or waits",)
    assert verdict.place is not None
    assert (verdict.place.service, verdict.place.operation) == ("shop", "POST /things")


def test_a_call_that_takes_a_third_of_the_time_is_not_called_healthy() -> None:
    """Eight ms are quick for a call, but nothing tells whether they are the work that is needed."""
    verdict = diagnose(seen(*each_later(request(20, query("SELECT item", 1, 9))), processes=busy(0.3)))
    assert verdict.answer is Answer.CANNOT_TELL
    assert verdict.reasons == (
        "40% of the time goes to SELECT item of shop (postgresql), and no known class of bottleneck explains it",
    )


@pytest.mark.parametrize("kind", ["IO", "LWLock", "Client", None])
def test_usual_database_waits_are_no_bottleneck(kind: str | None) -> None:
    assert (
        diagnose(seen(*each_later(HEALTHY), processes=busy(0.3), sessions=looks([session(kind)], []))).answer
        is Answer.NONE
    )


def test_a_wait_of_less_than_a_tenth_is_no_bottleneck() -> None:
    quick = request(20, query("BEGIN", 2, 3, waited=1.9))
    assert diagnose(seen(*each_later(quick), processes=busy(0.3))).answer is Answer.NONE


def test_a_few_requests_that_happened_to_wait_are_not_named() -> None:
    """One in forty waited, for 0.11 of all time: that may be chance."""
    unlucky = request(120, query("BEGIN", 100, 101, waited=100))
    assert diagnose(seen(*each_later(HEALTHY, 39), unlucky, processes=busy(0.3))).answer is Answer.NONE


def test_slow_statements_that_take_much_together_are_not_called_healthy() -> None:
    """A database that is busy with something else makes most of its statements slow, and none takes a third."""
    slow = (query(f"SELECT {name}", at, at + 20) for at, name in ((0, "a"), (25, "b"), (50, "c")))
    busied = request(100, *slow, query("SELECT d", 75, 79))
    verdict = diagnose(seen(*each_later(busied), processes=busy(0.3)))
    assert verdict.answer is Answer.CANNOT_TELL
    together = "64% of the time goes to all calls of shop to postgresql, and no known class of bottleneck explains it"
    assert verdict.reasons == (together,)
    assert verdict.place is not None
    assert verdict.place.name == "all calls of shop to postgresql"


def test_an_unexplained_broken_promise_is_not_healthy() -> None:
    verdict = diagnose(seen(*each_later(HEALTHY), processes=busy(0.3), clients=_promised(0.95, kept=88)))
    assert verdict.answer is Answer.CANNOT_TELL
    broken = "the objective is missed: 88% of 100 requests took at most 0.25 s, target 95%"
    assert verdict.reasons == (f"{broken}, and no known class of bottleneck explains it",)


def test_a_promise_missed_by_chance_is_not_broken() -> None:
    verdict = diagnose(seen(*each_later(HEALTHY), processes=busy(0.3), clients=_promised(0.95, kept=94)))
    assert verdict.answer is Answer.NONE
    missed = "the objective is missed, but within chance: 94% of 100 requests took at most 0.25 s, target 95%"
    assert missed in verdict.reasons


def test_a_promise_that_one_hiccup_broke_is_not_broken() -> None:
    """A dozen in a row were late, of a hundred."""
    clients = Requests(0, 10, 3.0, (0.05,) * 70 + (0.3,) * 12 + (0.05,) * 18, ObservedObjective(0.25, 0.95))
    assert diagnose(seen(*each_later(HEALTHY), processes=busy(0.3), clients=clients)).answer is Answer.NONE


def test_a_met_promise_is_reported_without_a_bottleneck() -> None:
    verdict = diagnose(seen(*each_later(HEALTHY), processes=busy(0.3), clients=_promised(0.95, kept=95)))
    assert verdict.answer is Answer.NONE
    assert "the objective is met: 95% of 100 requests took at most 0.25 s, target 95%" in verdict.reasons


@pytest.mark.parametrize(("seconds", "said"), [(0.01, "missed: 0%"), (0.25, "met: 100%")])
def test_a_bottleneck_is_named_with_a_met_promise_too(seconds: float, said: str) -> None:
    clients = Requests(0, 10, 3.0, (0.02,) * 30, ObservedObjective(seconds, 0.95))
    verdict = diagnose(seen(*[N_PLUS_ONE] * 30, clients=clients))
    assert verdict.answer is Answer.FOUND
    assert verdict.reasons[-1] == f"the objective is {said} of 30 requests took at most {seconds} s, target 95%"


@pytest.mark.parametrize(
    "clients",
    [Requests(0, 10, 3.0, (9.0,) * 30), Requests(0, 10, 3.0, (), ObservedObjective(0.25, 0.99))],
    ids=["no promise", "nothing seen"],
)
def test_without_a_promise_the_diagnosis_is_the_same(clients: Requests) -> None:
    verdict = diagnose(seen(*each_later(HEALTHY), processes=busy(0.3), clients=clients))
    assert verdict.answer is Answer.NONE
    assert not any("objective" in reason for reason in verdict.reasons)


def _promised(share: float, *, kept: int) -> Requests:
    """Return a hundred requests, so many of which took no longer than the 0.25 s that this share of them may take."""
    missed = 100 - kept
    latencies = tuple(0.3 if number * missed % 100 < missed else 0.05 for number in range(100))
    return Requests(0, 10, 3.0, latencies, ObservedObjective(0.25, share))
