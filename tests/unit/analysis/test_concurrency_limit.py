"""Detector of concurrency limits, on simulated queues: what it reports, and what only looks like one."""

import random

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.detectors.concurrency_limit import find_concurrency_limit
from observability.analysis.detectors.pool import find_pool
from observability.analysis.diagnosis import diagnose
from observability.analysis.trees import Node
from observability.analysis.whatif import QUEUE_MODEL_ERROR
from tests.unit.analysis.queueing import Served, around, arrivals, at_once, closed_loop, in_turn, sharing
from tests.unit.analysis.seeing import call, found, named, query, request, seen, serve, step

SEEDS = range(5)
COUNT = 200


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("workers", [2, 3, 8])
def test_operations_that_wait_for_a_worker_are_limited(workers: int, seed: int) -> None:
    """Eight tenths of what the workers can do, and of eight nine tenths."""
    served = _limited(seed, workers=workers, load=0.8 if workers < 8 else 0.9)
    [candidate] = found(find_concurrency_limit, seen(*_runs(served)))
    assert named(candidate) == (Bottleneck.CONCURRENCY_LIMIT, "shop", "run")
    assert _saved(candidate) == pytest.approx(_waited(served), rel=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_worker_is_a_serial_resource(seed: int) -> None:
    served = _limited(seed, workers=1)
    [candidate] = found(find_concurrency_limit, seen(*_runs(served)))
    assert named(candidate) == (Bottleneck.SERIAL_RESOURCE, "shop", "run")
    assert _saved(candidate) == pytest.approx(_waited(served), rel=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_that_are_started_at_once_wait_for_each_other(seed: int) -> None:
    """Each request starts ten calls of 20 ms of which three run at once: four rounds instead of one."""
    source = random.Random(seed)
    roots, whole, longest = [], 0.0, 0.0
    for number in range(30):
        at = 200.0 * number
        served = in_turn([at + call / 100 for call in range(10)], [around(20, source) for _ in range(10)], workers=3)
        calls = [
            call("route", each.started, each.ended, serve("/route", each.started, each.ended, service="map"))
            for each in served
        ]
        ended = max(each.ended for each in served)
        roots.append(serve("GET /best", at, ended, *calls))
        whole, longest = whole + ended - at, longest + max(each.ended - each.started for each in served)
    [candidate] = found(find_concurrency_limit, seen(*roots))
    assert named(candidate) == (Bottleneck.CONCURRENCY_LIMIT, "shop", "/route")
    assert _saved(candidate) == pytest.approx((whole - longest) / 1e3, rel=0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_with_few_threads_is_limited_as_a_whole(seed: int) -> None:
    """Two operations share three threads; what waits for one has left its caller, and not arrived."""
    served = _limited(seed, workers=3)
    roots = [
        serve(
            "POST /things",
            each.arrived,
            each.ended,
            call(
                "ask",
                each.arrived,
                each.ended,
                serve(f"answer {number % 2 * 'b' or 'a'}", *_ran(each), service="stock"),
            ),
        )
        for number, each in enumerate(served)
    ]
    [candidate] = found(find_concurrency_limit, seen(*roots))
    assert named(candidate) == (Bottleneck.CONCURRENCY_LIMIT, "stock", "")
    verdict = diagnose(seen(*roots))
    assert (verdict.bottleneck, verdict.service) == (Bottleneck.CONCURRENCY_LIMIT, "stock")


@pytest.mark.parametrize("seed", SEEDS)
def test_transactions_that_wait_for_a_connection_are_a_full_pool(seed: int) -> None:
    """Three connections, each held from the first statement to the commit, with own code in between."""
    [candidate] = found(find_concurrency_limit, seen(*_transactions(_limited(seed, workers=3))))
    assert (candidate.bottleneck, candidate.service) == (Bottleneck.POOL, "shop")


def test_a_wait_that_is_not_for_the_connection_is_a_limit() -> None:
    """The spans record that they waited for no connection."""
    roots = _transactions(_limited(1, workers=3), waited=0.0)
    [candidate] = found(find_concurrency_limit, seen(*roots))
    assert candidate.bottleneck is Bottleneck.CONCURRENCY_LIMIT


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["unlimited", "shared processor", "closed loop", "busy caller"])
def test_no_limit_where_calls_are(kind: str, seed: int) -> None:
    """Calls of 20 ms, each after own code of 10."""
    source = random.Random(seed)
    work = [around(20, source) for _ in range(COUNT)]
    served = {
        "unlimited": lambda: at_once(arrivals(COUNT, each=8, source=source), work),
        "shared processor": lambda: sharing(arrivals(COUNT, each=25, source=source), work),
        # So many connections, each of which prepares its next call when it has its answer.
        "closed loop": lambda: closed_loop(work, clients=3, pause=10),
        "busy caller": lambda: closed_loop(work, clients=1, pause=10),
    }[kind]()
    roots = [serve("POST /things", each.arrived - 10, each.ended, call("run", *_ran(each))) for each in served]
    assert found(find_concurrency_limit, seen(*roots)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_within_a_limited_operation_are_not_what_is_limited(seed: int) -> None:
    """Three workers, each of which computes for 10 ms and then makes a call."""
    served = _limited(seed, workers=3)
    roots = [
        serve(
            "POST /things",
            each.arrived,
            each.ended,
            step("run", *_ran(each), call("ask", min(each.started + 10, each.ended), each.ended)),
        )
        for each in served
    ]
    assert [named(each)[2] for each in found(find_concurrency_limit, seen(*roots))] == ["run"]


def test_how_far_more_workers_go_is_as_uncertain_as_in_other_trials() -> None:
    """The prediction's interval holds nearly twice and nearly half of the gain."""
    prediction = diagnose(seen(*_runs(_limited(1, workers=3)))).prediction
    assert prediction is not None
    gain = 1 - prediction.ratio["p50"].value
    assert prediction.ratio["p50"].high >= 1 - gain * (1 - QUEUE_MODEL_ERROR)


def test_few_waits_are_chance() -> None:
    assert found(find_concurrency_limit, seen(*_runs(_limited(1, workers=3)[:20]))) == []


def test_a_span_without_a_duration_is_no_concurrency() -> None:
    assert found(find_concurrency_limit, seen(*[request(10, step("mark", 5, 5))] * 50)) == []


# --- Pools ------------------------------------------------------------------------------------------------------------


def test_a_span_that_acquires_a_connection_is_a_wait_for_it() -> None:
    """Of 50 ms, 5 open a new connection."""
    acquire = step("pg-pool.connect", 10, 60, step("pg.connect", 50, 55))
    [candidate] = found(find_pool, seen(request(100, acquire, query("SELECT item", 60, 61))))
    assert named(candidate) == (Bottleneck.POOL, "shop", "")
    assert candidate.saving.wait == pytest.approx([0.045])


def test_a_pool_of_which_spans_tell_is_named_once() -> None:
    served = _limited(1, workers=1)
    roots = [
        serve("POST /things", each.arrived, each.ended, step("pg-pool.connect", each.arrived, each.started), _one(each))
        for each in served
    ]
    verdict = diagnose(seen(*roots))
    assert (verdict.bottleneck, verdict.service) == (Bottleneck.POOL, "shop")
    assert all("serial" not in each for each in verdict.also)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_checkout_of_sqlalchemy_is_the_wait_for_a_pool(workers: int) -> None:
    served = _limited(1, workers=workers)
    observation = seen(*_checkouts(served))
    [candidate] = found(find_pool, observation)
    assert _saved(candidate) == pytest.approx(_waited(served), rel=0.1)
    verdict = diagnose(observation)
    assert (verdict.bottleneck, verdict.service) == (Bottleneck.POOL, "shop")
    assert all("connect" not in each for each in verdict.also)


def test_checkouts_that_take_long_while_connections_are_left_are_no_pool() -> None:
    """A blocked event loop stretches them, as it does any other wait."""
    source = random.Random(1)
    served = [Served(at, at + around(60, source), at + 70) for at in arrivals(COUNT, each=25, source=source)]
    observation = seen(*_checkouts(served))
    assert found(find_pool, observation) == []
    assert diagnose(observation).bottleneck is None


def _checkouts(served: list[Served]) -> list[Node]:
    return [
        serve("POST /things", each.arrived, each.ended, query("connect", each.arrived, each.started), _one(each))
        for each in served
    ]


def _one(served: Served) -> Node:
    return query("SELECT item", *_ran(served))


def _limited(seed: int, *, workers: int, load: float = 0.8) -> list[Served]:
    source = random.Random(seed)
    arrived = arrivals(COUNT, each=20 / load / workers, source=source)
    return in_turn(arrived, [around(20, source) for _ in range(COUNT)], workers=workers)


def _ran(served: Served) -> tuple[float, float]:
    return served.started, served.ended


def _runs(served: list[Served]) -> list[Node]:
    return [serve("POST /things", each.arrived, each.ended + 1, step("run", *_ran(each))) for each in served]


def _transactions(served: list[Served], *, waited: float | None = None) -> list[Node]:
    return [
        serve(
            "POST /things",
            each.arrived,
            each.ended + 1,
            query("BEGIN", each.started, each.started + 1, waited=waited),
            query("SELECT item", each.started + 2, each.started + 6),
            query("COMMIT", each.ended - 1, each.ended),
        )
        for each in served
    ]


def _waited(served: list[Served]) -> float:
    return sum(each.started - each.arrived for each in served) / 1e3


def _saved(candidate: Candidate) -> float:
    return sum(candidate.saving.wait)
