"""Comparison with a baseline: a slowdown has a place, with or without a class that explains it."""

import random
from collections.abc import Sequence

import pytest

from observability.analysis.baseline import Comparison, compare_with
from observability.analysis.bottleneck import Bottleneck
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation
from observability.analysis.time_table import TimeKind
from observability.analysis.trees import Node
from observability.analysis.verdict import Answer
from tests.unit.analysis.seeing import busy, call, queries, query, requests_in, seen, serve

COUNT = 60


def roots(
    *, way: float = 2, code: float = 10, seed: int = 1, count: int = COUNT, name: str = "POST /pay", statements: int = 0
) -> list[Node]:
    """Return requests of which a call takes so long on its way, and code takes so long, in ms, all within a fifth."""
    source = random.Random(seed)
    made = []
    for number in range(count):
        at, there, own = number * 1_000, way * source.uniform(0.8, 1.2), code * source.uniform(0.8, 1.2)
        answered = at + 1 + there + 5
        done = answered + statements
        calls = queries("SELECT item", statements, start=answered) if statements else []
        asked = call("ask", at + 1, answered, serve("answer", at + 1 + there / 2, answered - there / 2, service="bank"))
        made.append(serve(name, at, done + own, asked, *calls))
    return made


def compared(before: Sequence[Node], after: Sequence[Node]) -> Comparison:
    comparison = compare_with(requests_in(seen(*before)), requests_in(seen(*after)))
    assert comparison is not None
    return comparison


def at_work(*made: Node) -> Observation:
    return seen(*made, processes=busy(0.3))


# --- What changed -----------------------------------------------------------------------------------------------------


def test_time_between_two_services_has_grown() -> None:
    comparison = compared(roots(), roots(way=40, seed=2))
    [change] = comparison.changes
    assert (change.kind, change.service, change.peer) == (TimeKind.TRANSIT, "shop", "bank")
    assert change.before == pytest.approx(0.002, rel=0.05)
    assert change.after == pytest.approx(0.040, rel=0.05)
    assert change.difference.low < 0.038 < change.difference.high
    assert change.sentence().startswith("transit to bank and back in ask of shop grew from ")


def test_the_slowdown_is_the_sum_of_its_parts() -> None:
    comparison = compared(roots(), roots(way=40, code=30, seed=2))
    assert sum(each.difference.value for each in comparison.changes) == pytest.approx(comparison.slowdown.value)
    assert comparison.is_slower


def test_the_same_system_again_has_not_changed() -> None:
    comparison = compared(roots(), roots(seed=2))
    assert (comparison.changes, comparison.is_slower, comparison.is_as_fast) == ((), False, True)


def test_more_requests_of_a_slow_operation_are_no_slowdown() -> None:
    def mixed(slow: int, seed: int) -> list[Node]:
        return [*roots(count=COUNT, seed=seed), *roots(name="POST /report", code=500, count=slow, seed=seed + 1)]

    comparison = compared(mixed(10, seed=3), mixed(80, seed=5))
    assert comparison.changes == ()
    assert not comparison.is_slower


def test_more_calls_are_a_change_of_their_number() -> None:
    [change] = compared(roots(statements=2), roots(statements=20, seed=2)).changes
    assert (change.calls_before, change.calls_after) == (2, 20)
    assert change.sentence().endswith("from 2 to 20 times per request")


def test_a_difference_within_chance_is_no_change() -> None:
    """Half of the requests of each side take 100 ms more, give or take a few."""
    source = random.Random(4)
    sides = [
        [root for number in range(20) for root in roots(code=source.choice((10, 110)), count=1, seed=number)]
        for _ in range(2)
    ]
    assert compared(*sides).changes == ()


def test_operations_that_the_baseline_lacks_are_not_compared() -> None:
    comparison = compared(roots(), [*roots(seed=2), *roots(name="POST /new", count=20)])
    assert comparison.reasons == ("too few requests in the baseline to compare: POST /new of shop",)
    assert comparison.requests == COUNT


def test_a_baseline_of_other_requests_compares_nothing() -> None:
    assert compare_with(requests_in(seen(*roots(name="GET /"))), requests_in(seen(*roots()))) is None
    verdict = diagnose(at_work(*roots()), seen(*roots(name="GET /")))
    assert "nothing was compared: the baseline has too few requests of the same operations" in verdict.reasons


# --- The verdict ------------------------------------------------------------------------------------------------------


def test_a_slowdown_without_a_class_has_a_place() -> None:
    """Code takes 60 ms where it took 10, and its process is idle: no class says what that may be."""
    verdict = diagnose(at_work(*roots(code=60, seed=2)), seen(*roots()))
    assert (verdict.answer, verdict.bottleneck, verdict.confidence) == (Answer.FOUND, None, "high")
    assert (verdict.service, verdict.operation) == ("shop", "POST /pay")
    assert verdict.share == pytest.approx(50 / 68, rel=0.05)
    assert verdict.sentence().startswith("slower than the baseline: own code in POST /pay of shop accounts for ")
    assert [change.kind for change in verdict.changes] == [TimeKind.CODE]


def test_a_class_in_the_place_that_grew_stays() -> None:
    verdict = diagnose(at_work(*roots(way=60, seed=2)), seen(*roots()))
    assert (verdict.bottleneck, verdict.service, verdict.operation) == (Bottleneck.NETWORK_LATENCY, "shop", "bank")
    assert verdict.changes


def test_a_class_that_was_there_before_is_not_the_cause() -> None:
    """Its calls have always been slow on their way; now its code is."""
    verdict = diagnose(at_work(*roots(way=60, code=100, seed=2)), seen(*roots(way=60)))
    assert (verdict.answer, verdict.bottleneck, verdict.operation) == (Answer.FOUND, None, "POST /pay")
    assert "network_latency in shop bank" in verdict.also


def test_requests_as_fast_as_before_are_well() -> None:
    """Alone, traces do not tell whether code works or sleeps."""
    assert diagnose(seen(*roots())).answer is Answer.CANNOT_TELL
    verdict = diagnose(seen(*roots(seed=2)), seen(*roots()))
    assert (verdict.answer, verdict.confidence) == (Answer.NONE, "medium")
    assert verdict.reasons[0].startswith("requests are as fast as in the baseline: ")


def test_few_requests_are_not_compared() -> None:
    verdict = diagnose(at_work(*roots(count=20, code=60)), seen(*roots()))
    assert (verdict.answer, verdict.changes) == (Answer.CANNOT_TELL, ())


def test_a_statement_that_grew_is_the_place() -> None:
    def paid(milliseconds: float) -> list[Node]:
        return [
            serve("POST /pay", at, at + 5 + milliseconds, query("UPDATE account", at + 2, at + 2 + milliseconds))
            for at in range(0, COUNT * 1_000, 1_000)
        ]

    [change] = compared(paid(4), paid(9)).changes
    assert (change.kind, change.operation) == (TimeKind.CALL, "UPDATE account")


def test_a_slowdown_of_all_parts_is_that_of_their_service() -> None:
    """Each of four parts of a service has grown alike: something that all of them need."""

    def slow(factor: float) -> list[Node]:
        return [
            serve(
                "POST /pay",
                at,
                at + 8 * factor,
                *(
                    query(f"SELECT {'abcd'[name]}", at + 2 * name * factor, at + 2 * (name + 1) * factor)
                    for name in range(4)
                ),
            )
            for at in range(0, COUNT * 1_000, 1_000)
        ]

    # Statements of 8 ms: where each takes 10 ms or more, the database is far.
    verdict = diagnose(at_work(*slow(4)), seen(*slow(1)))
    assert (verdict.answer, verdict.bottleneck) == (Answer.FOUND, None)
    assert (verdict.service, verdict.operation) == ("shop", "")
