"""Detector of hot shards: what it reports, what it predicts, and what it must not report."""

import random
from collections.abc import Callable, Sequence
from statistics import fmean

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.hot_shard import find_hot_shard
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation
from observability.analysis.spans import Attribute, SpanKind
from observability.analysis.trees import Node
from tests.unit.analysis.queueing import Served, around, arrivals, in_turn, requests_around, sharing
from tests.unit.analysis.seeing import found, named, requests_in, seen, step

HOT, COLD = "db-0:5432/orders", "db-1:5432/orders"
INSERT = "INSERT orders"
WORK = 8.0
Serve = Callable[[Sequence[float], Sequence[float]], list[Served]]


def statement(name: str, server: int, start: float, end: float, *, waited: float = 0.0) -> Node:
    """Return a statement that one of the servers gets, with how long it waited for a connection."""
    attributes: dict[str, Attribute] = {
        "db.system.name": "postgresql",
        "db.namespace": "orders",
        "server.address": f"db-{server}",
        "server.port": 5432,
        "db.client.connection.wait_time": waited / 1e3,
    }
    return step(name, start, end, kind=SpanKind.CLIENT, attributes=attributes)


def one_connection(arrived: Sequence[float], work: Sequence[float]) -> list[Served]:
    """Serve one call at a time, as a pool of one connection does."""
    return in_turn(arrived, work, workers=1)


def calls(
    shares: Sequence[float],
    *,
    serve: Serve = one_connection,
    each: float = 9.0,
    work: Sequence[float] = (WORK, WORK),
    count: int = 400,
) -> list[Node]:
    """Return requests with one statement each, of which servers 0, 1, ... get these shares."""
    source = random.Random(7)
    arrived = arrivals(count, each=each, source=source)
    servers = source.choices(range(len(shares)), shares, k=count)
    roots = []
    for server in range(len(shares)):
        its = [at for at, chosen in zip(arrived, servers, strict=True) if chosen == server]
        served = serve(its, [around(work[server], source) for _ in its])
        statements = [
            statement(INSERT, server, one.arrived, one.ended, waited=one.started - one.arrived) for one in served
        ]
        roots += requests_around(*zip(served, statements, strict=True))
    return sorted(roots, key=lambda root: root.span.start_nanoseconds)


def mean_seconds(observation: Observation) -> float:
    """Return the mean duration of a request."""
    return fmean(request.seconds for request in requests_in(observation))


@pytest.mark.parametrize("serve", [one_connection, sharing])
def test_the_server_with_most_of_the_load_is_named(serve: Serve) -> None:
    """They wait for its connection, or share its processor."""
    [candidate] = found(find_hot_shard, seen(*calls((0.9, 0.1), serve=serve)))
    assert named(candidate) == (Bottleneck.HOT_SHARD, "shop", HOT)


@pytest.mark.parametrize(
    ("count", "waits"),
    [(400, (f"slow_call in shop {INSERT}", "pool in shop")), (600, (f"serial_resource in shop {INSERT}",))],
)
def test_hot_shard_is_named_before_the_wait_for_its_connection(count: int, waits: tuple[str, ...]) -> None:
    """The wait shows as another class, which depends on how many waits there are; each may explain more time."""
    verdict = diagnose(seen(*calls((0.9, 0.1), count=count)))
    assert (verdict.bottleneck, verdict.operation) == (Bottleneck.HOT_SHARD, HOT)
    assert {*verdict.also} == {*waits}


@pytest.mark.parametrize("serve", [one_connection, sharing])
def test_even_load_gains_what_hot_shard_predicts(serve: Serve) -> None:
    """The same arrivals and work, half on each server."""
    before, after = (seen(*calls(shares, serve=serve, count=2_000)) for shares in ((0.9, 0.1), (0.5, 0.5)))
    [candidate] = found(find_hot_shard, before)
    predicted = mean_seconds(before) - fmean(candidate.saving.by_request())
    assert predicted == pytest.approx(mean_seconds(after), rel=0.25)


def test_three_equal_servers_share_the_load_of_a_hot_one() -> None:
    work = (WORK,) * 3
    [candidate] = found(find_hot_shard, seen(*calls((0.8, 0.1, 0.1), work=work)))
    assert candidate.operation == HOT


@pytest.mark.parametrize(
    ("why", "roots"),
    [
        ("both have the same load", calls((0.5, 0.5), each=5.0)),
        ("it is slow without load, too", calls((0.8, 0.2), each=60.0, work=(5 * WORK, WORK))),
        ("the other one gets too few calls", calls((0.995, 0.005))),
        ("no server is known", [step(INSERT, 0, 9, kind=SpanKind.CLIENT, attributes={"db.system.name": "mysql"})] * 40),
    ],
)
def test_no_hot_shard_where(why: str, roots: list[Node]) -> None:
    assert found(find_hot_shard, seen(*roots)) == [], why


def test_a_skew_that_nothing_waits_for_is_not_named() -> None:
    """Each server has room: the requests of the one with more load are as fast."""
    assert diagnose(seen(*calls((0.9, 0.1), each=200.0))).bottleneck is not Bottleneck.HOT_SHARD


def test_servers_of_other_statements_are_not_equal() -> None:
    """A busy database and a quiet one of another kind are no shards of one."""
    roots = calls((0.9, 0.1))
    other = [
        step("POST /things", 9e4 + at, 9e4 + at + 3, statement("SELECT stock", 1, 9e4 + at, 9e4 + at + 2))
        for at in range(0, 4_000, 20)
    ]
    hot_only = [root for root in roots if "db-0" in str(root.children[0].span.attributes)]
    assert found(find_hot_shard, seen(*hot_only, *other)) == []
