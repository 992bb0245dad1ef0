"""Resource usage from samples and scrapes: connection pools and database waits."""

import pytest

from observability.analysis.metrics_page import parse_page
from observability.analysis.observation import TimedScrape
from observability.analysis.resources import (
    Pool,
    database_seconds,
    pools,
    sampling_seconds,
    waiting_sessions,
)
from tests.unit.analysis.seeing import looks, pool_scrape, seen, session

# --- Pools ------------------------------------------------------------------------------------------------------------


def test_a_pool_is_described_between_first_and_last_scrape() -> None:
    scrapes = [
        pool_scrape(0, used=2, waits=10, wait_seconds=1, hold_seconds=2),
        pool_scrape(1, used=1, waits=14, wait_seconds=1, hold_seconds=3),
        pool_scrape(2, used=2, waits=20, wait_seconds=6, hold_seconds=4),
        pool_scrape(3, used=1, waits=30, wait_seconds=9, hold_seconds=5),
    ]
    [pool] = pools(seen(scrapes=scrapes))
    assert pool == Pool("shop", "main", limit=2, waits=20, wait_seconds=8, hold_seconds=3, full_share=0.5)


def test_the_pool_with_the_longest_waits_comes_first() -> None:
    scrapes = [
        *(pool_scrape(0, used=0, target=target) for target in ("web", "worker")),
        pool_scrape(1, used=0, waits=9, wait_seconds=1, target="web"),
        pool_scrape(1, used=0, waits=1, wait_seconds=2, target="worker"),
    ]
    assert [pool.target for pool in pools(seen(scrapes=scrapes))] == ["worker", "web"]


def test_an_unused_pool_is_not_described() -> None:
    assert pools(seen(scrapes=[pool_scrape(0, used=2, waits=5), pool_scrape(1, used=2, waits=5)])) == []


def test_one_scrape_says_nothing() -> None:
    assert pools(seen(scrapes=[pool_scrape(0, used=2, waits=5)])) == []


def test_the_mean_hold_is_per_acquisition() -> None:
    assert Pool("web", "main", 2, waits=20, wait_seconds=8, hold_seconds=3, full_share=0.5).mean_hold_seconds == 0.15


def test_an_unused_pool_has_no_hold_time() -> None:
    assert Pool("web", "main", 2, waits=0, wait_seconds=0, hold_seconds=0, full_share=0.5).mean_hold_seconds == 0


# --- The database -----------------------------------------------------------------------------------------------------


def test_waiting_sessions_are_counted_in_each_sample() -> None:
    lock, reader = session("Lock"), session(None)
    assert waiting_sessions(seen(sessions=looks([lock, reader], [], [lock])), "Lock") == [lock, lock]


def test_looks_are_on_average_so_far_apart() -> None:
    assert sampling_seconds(seen(sessions=looks([], [], [], each_seconds=0.25))) == 0.25


def test_one_look_is_no_time_apart() -> None:
    assert sampling_seconds(seen(sessions=looks([]))) == 0


def test_a_session_sample_stands_for_the_time_until_the_next() -> None:
    samples = looks([session("Lock"), session("IO")], [session("Lock"), session(None)], [], each_seconds=0.5)
    seconds = database_seconds(seen(sessions=samples))
    assert {kind: each.value for kind, each in seconds.items()} == {"Lock": 1.0, "IO": 0.5, "CPU": 0.5}


def test_few_samples_have_a_wide_interval() -> None:
    """Of 10 looks 2 saw it: Clopper and Pearson give 2.5 % to 55.6 %."""
    seconds = database_seconds(seen(sessions=looks(*[[session("Lock")]] * 2, *[[]] * 8, each_seconds=0.1)))["Lock"]
    assert seconds.low == pytest.approx(0.025, abs=0.001)
    assert seconds.high == pytest.approx(0.556, abs=0.001)


def test_more_sightings_than_looks_are_no_error() -> None:
    seconds = database_seconds(seen(sessions=looks([session("Lock")] * 3, [session("Lock")], each_seconds=0.1)))["Lock"]
    assert seconds.value == pytest.approx(0.4)
    assert seconds.low <= seconds.value <= seconds.high


def test_a_session_that_waits_for_its_client_is_idle() -> None:
    samples = looks([session("Client", state="idle in transaction")], [])
    assert database_seconds(seen(sessions=samples)) == {}


def test_a_pool_without_a_name_is_a_pool_too() -> None:
    """Libraries with one pool leave the label out; without a limit nothing is known of how full a pool is."""
    text = """\
db_client_connection_wait_time_seconds_count {waits}
db_client_connection_wait_time_seconds_sum {waits}
db_client_connection_max 2
db_client_connection_count{{state="used"}} 2
"""
    scrapes = tuple(TimedScrape(at, "some", parse_page(text.format(waits=at))) for at in (1, 3))
    [pool] = pools(seen(scrapes=scrapes))
    assert (pool.name, pool.limit, pool.waits, pool.full_share) == ("", 2, 2, 1)
    unlimited = tuple(
        TimedScrape(at, "some", parse_page(text.format(waits=at).replace("connection_max 2", "x 2"))) for at in (1, 3)
    )
    assert pools(seen(scrapes=unlimited)) == []
