"""Diagnosis of a random tenth of the traces: the users that others wait for are mostly not recorded."""

import heapq
import random
from collections.abc import Sequence

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.chatty_rpc import find_chatty_rpc
from observability.analysis.detectors.concurrency_limit import find_concurrency_limit
from observability.analysis.detectors.pool import find_pool
from observability.analysis.detectors.serial_resource import find_serial_resource
from observability.analysis.diagnosis import diagnose
from observability.analysis.trees import Node
from observability.analysis.verdict import Answer
from tests.unit.analysis.queueing import Served, around, arrivals, at_once, in_turn, requests_around
from tests.unit.analysis.seeing import call, found, named, query, seen, serve

SEEDS = range(5)
COUNT = 600


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_behind_a_lock_are_a_serial_resource(seed: int) -> None:
    """The lock is held for 20 ms, three quarters of the time."""
    source = random.Random(seed)
    served = in_turn(arrivals(COUNT, each=27, source=source), _work(source), workers=1)
    candidates = found(find_serial_resource, seen(*_tenth(_statements(served), seed)))
    if candidates:  # a sample in which no queue was long has nothing to show
        assert {named(each) for each in candidates} == {(Bottleneck.SERIAL_RESOURCE, "shop", "SELECT customer")}
    verdict = diagnose(seen(*_tenth(_statements(served), seed)))
    assert verdict.bottleneck in {Bottleneck.SERIAL_RESOURCE, None}


def test_own_code_that_takes_turns_on_its_processor_is_no_lock() -> None:
    source = random.Random(0)
    served = in_turn(arrivals(COUNT, each=27, source=source), _work(source), workers=1)
    roots = [
        serve("POST /things", each.arrived, each.ended + 1, call("ask", each.ended, each.ended + 1)) for each in served
    ]
    assert found(find_serial_resource, seen(*_tenth(roots, 0))) == []


def test_the_wait_for_a_lock_is_known_from_a_tenth() -> None:
    source = random.Random(0)
    served = in_turn(arrivals(COUNT, each=27, source=source), _work(source), workers=1)
    [candidate] = found(find_serial_resource, seen(*_tenth(_statements(served), 0)))
    waited = sum(each.started - each.arrived for each in served) / 1e4
    assert sum(candidate.saving.wait) == pytest.approx(waited, rel=0.4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["independent", "two at a time", "as long as they like"])
def test_no_serial_resource_where_calls_are(kind: str, seed: int) -> None:
    source = random.Random(seed)
    varying = [20 * source.lognormvariate(0, 1) for _ in range(COUNT)]
    served = {
        "independent": lambda: at_once(arrivals(COUNT, each=5, source=source), _work(source)),
        "two at a time": lambda: in_turn(arrivals(COUNT, each=11, source=source), _work(source), workers=2),
        "as long as they like": lambda: at_once(arrivals(COUNT, each=10, source=source), varying),
    }[kind]()
    assert found(find_serial_resource, seen(*_tenth(_statements(served), seed))) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_started_at_once_that_share_workers_are_limited(seed: int) -> None:
    """Each request starts ten calls of 20 ms; all requests share three workers."""
    source = random.Random(seed)
    arrived = arrivals(300, each=80, source=source)
    served = in_turn([at for at in arrived for _ in range(10)], [around(20, source) for _ in range(3_000)], workers=3)
    roots = [_fan_out(at, served[10 * number : 10 * number + 10]) for number, at in enumerate(arrived)]
    [candidate] = found(find_concurrency_limit, seen(*_tenth(roots, seed)))
    assert named(candidate) == (Bottleneck.CONCURRENCY_LIMIT, "shop", "/route")


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_that_their_parent_starts_one_by_one_are_not_limited(seed: int) -> None:
    """The code before each of ten calls takes 8 ms, so that two or three of them run at once."""
    source = random.Random(seed)
    arrived = arrivals(300, each=80, source=source)
    roots = []
    for at in arrived:
        starts = [at + 8 * number + source.uniform(0, 2) for number in range(10)]
        roots.append(_fan_out(at, [Served(each, each, each + around(20, source)) for each in starts]))
    assert found(find_concurrency_limit, seen(*_tenth(roots, seed))) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_long_waits_for_a_connection_are_a_full_pool(seed: int) -> None:
    """The one connection is in use for 95 % of the time."""
    source = random.Random(seed)
    served = in_turn(arrivals(COUNT, each=21, source=source), _work(source), workers=1)
    [candidate] = found(find_pool, seen(*_tenth(_checkouts(served), seed)))
    assert named(candidate) == (Bottleneck.POOL, "shop", "")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_process_that_is_held_up_before_and_after_a_checkout_is_no_full_pool(seed: int) -> None:
    """What blocks the process delays the statement as much as the checkout."""
    source = random.Random(seed)
    served = []
    for at in arrivals(COUNT, each=25, source=source):
        started = at + source.expovariate(1 / 60)
        served.append(Served(at, started, started + source.expovariate(1 / 60)))
    assert found(find_pool, seen(*_tenth(_checkouts(served), seed))) == []


def test_a_loop_whose_pauses_vary_may_wait_for_a_worker() -> None:
    """The ten calls of each request share one worker with those of the others."""
    source = random.Random(1)
    arrived = arrivals(400, each=220, source=source)
    ready = [(at, number) for number, at in enumerate(arrived)]
    made: list[list[Served]] = [[] for _ in arrived]
    free = 0.0
    while ready:
        at, number = heapq.heappop(ready)
        started = max(at, free)
        free = started + around(20, source)
        made[number].append(Served(at, started, free))
        if len(made[number]) < 10:
            heapq.heappush(ready, (free, number))
    roots = [_fan_out(at, calls) for at, calls in zip(arrived, made, strict=True)]
    verdict = diagnose(seen(*_tenth(roots, 1)))
    assert verdict.bottleneck is not Bottleneck.CHATTY_RPC


def test_a_loop_with_even_pauses_is_a_chatty_rpc() -> None:
    source = random.Random(1)
    roots = []
    for at in arrivals(200, each=220, source=source):
        starts = [at + 32 * number for number in range(10)]
        roots.append(_fan_out(at, [Served(each, each, each + 20) for each in starts]))
    assert [named(each)[0] for each in found(find_chatty_rpc, seen(*_tenth(roots, 1)))] == [Bottleneck.CHATTY_RPC]
    assert diagnose(seen(*_tenth(roots, 1))).bottleneck is Bottleneck.CHATTY_RPC


def test_a_call_that_varies_widely_is_undecided_where_few_overlap() -> None:
    source = random.Random(1)
    served = in_turn(arrivals(60, each=25, source=source), _work(source)[:60], workers=1)
    assert diagnose(seen(*_tenth(_statements(served), 1))).answer is Answer.CANNOT_TELL


def _work(source: random.Random) -> list[float]:
    return [around(20, source) for _ in range(COUNT)]


def _tenth(roots: Sequence[Node], seed: int) -> list[Node]:
    source = random.Random(f"sample {seed}")
    return [root for root in roots if source.random() < 0.1]


def _statements(served: Sequence[Served]) -> list[Node]:
    return requests_around(*((each, query("SELECT customer", each.arrived, each.ended)) for each in served))


def _checkouts(served: Sequence[Served]) -> list[Node]:
    return [
        serve(
            "POST /things",
            each.arrived,
            each.ended,
            query("connect", each.arrived, each.started),
            query("SELECT item", each.started, each.ended),
        )
        for each in served
    ]


def _fan_out(at: float, served: Sequence[Served]) -> Node:
    calls = [
        call("route", each.started, each.ended, serve("/route", each.started + 0.5, each.ended - 0.5, service="map"))
        for each in sorted(served, key=lambda each: each.started)
    ]
    return serve("GET /best", at, max(each.ended for each in served), *calls)
