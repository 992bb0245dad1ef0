"""Detector of read saturation: what it reports, what it predicts, and what it must not report."""

import random
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.read_saturation import find_read_saturation, is_read
from observability.analysis.diagnosis import diagnose
from observability.analysis.metrics_page import parse_page
from observability.analysis.observation import Observation, ProcessSample, SessionSample, TableUse, TimedScrape
from observability.analysis.trees import Node
from observability.analysis.verdict import Answer
from tests.unit.analysis.queueing import Served, around, arrivals, requests_around, sharing
from tests.unit.analysis.seeing import found, looks, named, query, seen, session

READ, WRITE = "SELECT sale", "UPDATE sale"
COUNT, WORK, EACH = 400, 8.0, 11.0
SECONDS = COUNT * EACH / 1e3
RUNNING = looks(*[[session(None)]] * 10)


def reads(*, work: float = WORK, each: float = EACH, servers: int = 1) -> list[Served]:
    """Serve reads on so many servers, each of which works on all that are there; chance decides between them."""
    source = random.Random(11)
    arrived = arrivals(COUNT, each=each, source=source)
    chosen = [source.randrange(servers) for _ in arrived]
    served = []
    for server in range(servers):
        its = [at for at, one in zip(arrived, chosen, strict=True) if one == server]
        served += sharing(its, [around(work, source) for _ in its])
    return served


def requests(served: Sequence[Served], name: str = READ) -> list[Node]:
    """Return a request around each statement, from its arrival to its end."""
    return list(requests_around(*((one, query(name, one.arrived, one.ended)) for one in served)))


ROOTS = tuple(requests(reads()))


def containers(full: str = "postgres-0", idle: str = "shop-0") -> list[TimedScrape]:
    """Return the metrics of two containers with a tenth of a processor each, as cAdvisor names them."""
    shares = {full: (0.073, 60), idle: (0.02, 10)}
    pages = (
        "".join(
            f'container_cpu_usage_seconds_total{{container="{name}"}} {used * at}\n'
            f'container_spec_cpu_quota{{container="{name}"}} 1000\n'
            f'container_spec_cpu_period{{container="{name}"}} 10000\n'
            f'container_cpu_cfs_periods_total{{container="{name}"}} {100 * at}\n'
            f'container_cpu_cfs_throttled_periods_total{{container="{name}"}} {stopped * at}\n'
            for name, (used, stopped) in shares.items()
        )
        for at in (0.0, SECONDS)
    )
    return [TimedScrape(at, "cadvisor", parse_page(page)) for at, page in zip((0.0, SECONDS), pages, strict=True)]


def observed(
    roots: Sequence[Node] = ROOTS,
    *,
    scrapes: Sequence[TimedScrape] = tuple(containers()),
    sessions: Sequence[SessionSample] = RUNNING,
) -> Observation:
    """Return an observation whose database server uses up its quota."""
    return seen(*roots, scrapes=scrapes, sessions=sessions)


def processes(waited: float = 1.0, /, **used: float) -> list[ProcessSample]:
    """Return processes that share one processor: each waits for it `waited` times as long as it works."""
    times = (0.0, SECONDS)
    return [ProcessSample(at, name, at * share, waited * at * share) for at in times for name, share in used.items()]


# --- What must be there -----------------------------------------------------------------------------------------------


def test_reads_that_use_up_the_servers_quota_are_named() -> None:
    [candidate] = found(find_read_saturation, observed())
    assert named(candidate) == (Bottleneck.READ_SATURATION, "shop", READ)


def test_the_verdict_is_read_saturation() -> None:
    verdict = diagnose(observed())
    assert (verdict.answer, verdict.bottleneck, verdict.operation) == (Answer.FOUND, Bottleneck.READ_SATURATION, READ)


def test_reads_that_fill_a_shared_processor_are_named() -> None:
    observation = seen(*ROOTS, processes=processes(postgres=0.6, shop=0.2), sessions=RUNNING)
    assert found(find_read_saturation, observation)


def test_two_replicas_are_predicted_as_two_servers_would_serve_it() -> None:
    """The same reads were simulated on one server and on two."""
    one, two = (fmean(each.ended - each.arrived for each in reads(servers=servers)) for servers in (1, 2))
    [candidate] = found(find_read_saturation, observed())
    assert one - candidate.saving.total() / COUNT * 1e3 == pytest.approx(two, rel=0.25)


# --- What must not be there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "observation"),
    [
        ("the server has room, and another container is full", observed(scrapes=containers("shop-0", "postgres-0"))),
        ("the server may use other processors", seen(*ROOTS, processes=processes(0.0, postgres=0.9), sessions=RUNNING)),
        ("it is not known how busy the server is", observed(scrapes=())),
        ("sessions wait for locks", observed(sessions=looks(*[[session("Lock")]] * 10))),
        ("requests wait for writes", observed(requests(reads(), WRITE))),
        (
            "others fill the shared processor",
            seen(*ROOTS, processes=processes(postgres=0.2, shop=0.6), sessions=RUNNING),
        ),
    ],
)
def test_no_read_saturation_where(why: str, observation: Observation) -> None:
    assert found(find_read_saturation, observation) == [], why


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        ("SELECT sale", True),
        ("select * from sale where id = $1", True),
        ("WITH recent AS (SELECT 1) SELECT * FROM recent", True),
        ("SELECT sale FOR UPDATE", False),
        ("SELECT * FROM sale ORDER BY id FOR NO KEY UPDATE", False),
        ("WITH gone AS (DELETE FROM sale RETURNING *) SELECT * FROM gone", False),
        ("UPDATE sale", False),
        ("COMMIT", False),
    ],
)
def test_a_statement_that_changes_or_locks_is_no_read(statement: str, reads: bool) -> None:
    assert is_read(statement) is reads


def test_a_missing_index_is_named_before_the_reads_it_makes_expensive() -> None:
    scanned = TableUse("main", "sale", COUNT, 4_000_000, index_scans=0, index_rows_fetched=0, live_rows=100_000)
    verdict = diagnose(replace(observed(), tables=(scanned,)))
    assert verdict.bottleneck is Bottleneck.MISSING_INDEX
