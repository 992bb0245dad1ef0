"""Detector of serial resources, on simulated queues: what it reports, and what only looks like one."""

import random

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.detectors.serial_resource import find_serial_resource
from observability.analysis.diagnosis import diagnose
from observability.analysis.trees import Node
from tests.unit.analysis.queueing import (
    Served,
    around,
    arrivals,
    at_once,
    closed_loop,
    in_turn,
    requests_around,
    sharing,
)
from tests.unit.analysis.seeing import call, found, named, query, requests_in, seen, serve, step

SEEDS = range(5)
COUNT = 200


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.4])
def test_calls_behind_a_lock_end_one_after_the_other(seed: int, spread: float) -> None:
    """The lock is held for 20 ms, seven tenths of the time."""
    served = _locked(seed, spread=spread)
    [candidate] = found(find_serial_resource, seen(*_statements(served)))
    assert named(candidate) == (Bottleneck.SERIAL_RESOURCE, "shop", "SELECT customer")
    assert _saved(candidate) == pytest.approx(_waited(served), rel=0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lock_within_own_code_is_found_before_what_follows(seed: int) -> None:
    """Each request works behind a lock, and then makes a call of 5 ms."""
    served = _locked(seed)
    roots = [
        serve("POST /things", each.arrived, each.ended + 5, call("ask", each.ended, each.ended + 5)) for each in served
    ]
    [candidate] = found(find_serial_resource, seen(*roots))
    assert named(candidate) == (Bottleneck.SERIAL_RESOURCE, "shop", "POST /things")
    assert _saved(candidate) == pytest.approx(_waited(served), rel=0.05)


def test_a_statement_that_locks_its_row_waits_for_the_row() -> None:
    roots = requests_around(*((each, query("UPDATE stock", each.arrived, each.ended)) for each in _locked(1)))
    [candidate] = found(find_serial_resource, seen(*roots))
    assert named(candidate) == (Bottleneck.HOT_ROW, "shop", "UPDATE stock")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_that_is_held_until_the_commit_is_waited_for_until_then(seed: int) -> None:
    """The update takes 4 ms and the row is held for 20: the wait is all but 4 ms."""
    served = _locked(seed)
    roots = requests_around(*((each, query("UPDATE stock", each.arrived, each.started + 4)) for each in served))
    [candidate] = found(find_serial_resource, seen(*roots))
    assert _saved(candidate) == pytest.approx(_waited(served), rel=0.2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["independent", "shared processor", "two locks", "regular", "closed loop", "paused"])
def test_no_serial_resource_where_calls_are(kind: str, seed: int) -> None:
    """Calls of 20 ms that overlap as much as those behind a lock."""
    source = random.Random(seed)
    work = [around(20, source) for _ in range(COUNT)]
    arrived = arrivals(COUNT, each=28, source=source)
    served = {
        "independent": lambda: at_once(arrivals(COUNT, each=8, source=source), work),
        "shared processor": lambda: sharing(arrived, work),
        "two locks": lambda: in_turn(arrivals(COUNT, each=14, source=source), work, workers=2),
        "regular": lambda: at_once([14.0 * number for number in range(COUNT)], work),
        "closed loop": lambda: closed_loop(work, clients=3, pause=5),
        "paused": lambda: closed_loop(work, clients=1, pause=5),
    }[kind]()
    assert found(find_serial_resource, seen(*_statements(served))) == []


def test_few_waits_are_chance() -> None:
    assert found(find_serial_resource, seen(*_statements(_locked(1)[:20]))) == []


# --- Which class is named ---------------------------------------------------------------------------------------------


def test_a_lock_comes_before_the_slow_call_whose_wait_it_is() -> None:
    """Of the statement, more than half is the wait; what is left of it is a slow call."""
    served = in_turn(*_arrivals_and_work(2, each=25), workers=1)
    verdict = diagnose(seen(*_statements(served)))
    assert verdict.bottleneck is Bottleneck.SERIAL_RESOURCE
    assert verdict.also == ("slow_call in shop SELECT customer",)


def test_what_the_lock_explains_of_a_call_is_not_explained_twice() -> None:
    """Of the 20 ms for which the lock is held, a fast call would save 10."""
    served = in_turn(*_arrivals_and_work(2, each=25), workers=1)
    observation = seen(*_statements(served))
    shares = {each.bottleneck: each.share.value for each in diagnose(observation).classes}
    whole = sum(each.seconds for each in requests_in(observation))
    worked = sum(each.ended - each.started for each in served) / 1e3
    assert shares[Bottleneck.SLOW_CALL] == pytest.approx(worked / 2 / whole, rel=0.1)


def test_statements_of_another_request_are_not_waited_for() -> None:
    """A long statement of a job runs beside, in a trace of its own: it is no part of the queue."""
    served = _locked(3)
    job = step("job", 0, served[-1].ended, query("VACUUM", 0, served[-1].ended))
    [candidate] = found(find_serial_resource, seen(*_statements(served), job))
    assert candidate.operation == "SELECT customer"


def _arrivals_and_work(seed: int, *, each: float, spread: float = 0.1) -> tuple[list[float], list[float]]:
    source = random.Random(seed)
    return arrivals(COUNT, each=each, source=source), [around(20, source, spread=spread) for _ in range(COUNT)]


def _locked(seed: int, *, spread: float = 0.1) -> list[Served]:
    return in_turn(*_arrivals_and_work(seed, each=28, spread=spread), workers=1)


def _statements(served: list[Served]) -> list[Node]:
    return requests_around(*((each, query("SELECT customer", each.arrived, each.ended)) for each in served))


def _waited(served: list[Served]) -> float:
    return sum(each.started - each.arrived for each in served) / 1e3


def _saved(candidate: Candidate) -> float:
    return sum(candidate.saving.wait)
