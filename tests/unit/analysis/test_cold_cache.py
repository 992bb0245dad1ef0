"""Detector of cold caches: the conditions of a finding, its evidence, and the time that the fix would save."""

from collections.abc import Sequence

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.cold_cache import STORES, find_cold_cache
from observability.analysis.detectors.missing_index import find_missing_index
from observability.analysis.detectors.n_plus_one import find_n_plus_one
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import CacheUse, Observation, TableUse
from observability.analysis.spans import Attribute, SpanKind
from observability.analysis.trees import Node
from tests.unit.analysis.seeing import busy, found, named, query, request, saved_wait, saved_work, seen, step

READ = "SELECT report"
EXPIRED = CacheUse("valkey", hits=20, misses=100, expired=95, evicted=0)


def lookup(start: float, end: float, *, keys: int, hits: int, store: str = "valkey") -> Node:
    """Return a cache lookup that finds some of its keys."""
    attributes: dict[str, Attribute] = {
        "db.system.name": store,
        "db.operation.batch.size": keys,
        "db.response.returned_rows": hits,
    }
    return step("MGET reports", start, end, kind=SpanKind.CLIENT, attributes=attributes)


def write(start: float, end: float, *, store: str = "valkey") -> Node:
    """Return the span that stores the value in the cache."""
    attributes: dict[str, Attribute] = {"db.system.name": store, "db.operation.batch.size": 1}
    return step("SET reports", start, end, kind=SpanKind.CLIENT, attributes=attributes)


def missing(*, hits: int = 0, store: str = "valkey") -> Node:
    """Return a request of 30 ms: a lookup of 1 ms, a wait of 4 for a turn, a read of 20, and 1 to cache the result."""
    asking = (lookup(2, 3, keys=4, hits=hits, store=store), query(READ, 7, 27), write(27, 28, store=store))
    return request(30, step("reports cache", 2, 28, *asking))


def waiting() -> Node:
    """Return a request of 20 ms that waits for 16 of them for what another one reads."""
    return request(20, step("reports cache", 2, 18))


def there() -> Node:
    """Return a request of 5 ms that finds all of its keys."""
    return request(5, step("reports cache", 2, 3, lookup(2, 3, keys=4, hits=4)))


def with_cache(*roots: Node, uses: Sequence[CacheUse] = (EXPIRED,), tables: Sequence[TableUse] = ()) -> Observation:
    """Return an observation that has the counters of caches too."""
    observation = seen(*roots, tables=tables, processes=busy(0.3))
    return Observation(**{name: getattr(observation, name) for name in observation.__slots__} | {"caches": tuple(uses)})


def test_a_cold_cache_is_named_by_the_read_that_replaces_it() -> None:
    [candidate] = found(find_cold_cache, with_cache(*[missing()] * 30))
    assert named(candidate) == (Bottleneck.COLD_CACHE, "shop", READ)


def test_the_fix_saves_the_read_and_what_followed_the_lookup() -> None:
    """20 ms of read are work; 4 for a turn and 1 to keep it are waited, less what a lookup takes."""
    observation = with_cache(missing(), missing())
    assert saved_work(find_cold_cache, observation) == pytest.approx((0.020, 0.020))
    assert saved_wait(find_cold_cache, observation) == pytest.approx((0.004, 0.004))


def test_the_fix_saves_the_wait_for_the_read_of_another_request() -> None:
    """16 ms, less the lookup of 1 ms that it makes then itself."""
    observation = with_cache(missing(), waiting())
    assert saved_work(find_cold_cache, observation) == pytest.approx((0.020, 0.0))
    assert saved_wait(find_cold_cache, observation) == pytest.approx((0.004, 0.015))


def test_the_fix_saves_nothing_of_a_request_with_hits() -> None:
    observation = with_cache(missing(), missing(), there())
    assert saved_work(find_cold_cache, observation)[2] == 0.0
    assert saved_wait(find_cold_cache, observation)[2] == 0.0


def test_a_cold_cache_reports_hits_cost_and_evictions() -> None:
    [candidate] = found(find_cold_cache, with_cache(missing(), missing(), there()))
    assert candidate.evidence == (
        "4 of 12 keys were found in the cache",
        "'SELECT report' reads the rest, 0.67 times per request, 20.0 ms each",
        "valkey had 100 misses; 95 keys had expired and 0 had been evicted",
    )


@pytest.mark.parametrize("store", sorted(STORES))
def test_whatever_store_speaks_by_keys_may_be_the_cache(store: str) -> None:
    assert found(find_cold_cache, with_cache(missing(store=store)))


def test_keys_that_had_to_make_room_had_been_there_too() -> None:
    use = CacheUse("valkey", hits=20, misses=100, expired=0, evicted=60)
    assert found(find_cold_cache, with_cache(missing(), uses=(use,)))


def test_without_the_cache_s_own_counters_the_spans_suffice() -> None:
    assert found(find_cold_cache, with_cache(missing(), uses=()))


@pytest.mark.parametrize(
    ("why", "observation"),
    [
        ("half of the keys are there", with_cache(missing(hits=2), missing(hits=2))),
        ("keys were missing for the first time", with_cache(missing(), uses=(CacheUse("valkey", 0, 100, 40, 0),))),
        ("nothing was asked of the cache", with_cache(missing(), uses=(CacheUse("valkey", 0, 0, 0, 0),))),
        (
            "nobody reads what is missing",
            with_cache(request(9, step("reports cache", 1, 5, lookup(1, 2, keys=1, hits=0)))),
        ),
        ("a database is asked, and no store", with_cache(missing(store="postgresql"))),
        ("there is no cache", with_cache(request(30, query(READ, 7, 27)))),
    ],
)
def test_no_cold_cache_where(why: str, observation: Observation) -> None:
    assert found(find_cold_cache, observation) == [], why


def test_other_keys_each_time_are_no_n_plus_one() -> None:
    assert found(find_n_plus_one, with_cache(*[missing()] * 30)) == []


def test_a_cold_cache_outranks_how_the_value_is_read() -> None:
    """The read goes through a whole table too, and an index would save as much of it."""
    table = TableUse("main", "report", 40, 4_000_000, index_scans=0, index_rows_fetched=0, live_rows=100_000)
    observation = with_cache(*[missing()] * 40, tables=(table,))
    assert found(find_missing_index, observation)
    verdict = diagnose(observation)
    assert (verdict.bottleneck, verdict.operation) == (Bottleneck.COLD_CACHE, READ)
    assert verdict.also == ("missing_index in shop SELECT report",)


def test_a_warm_cache_does_not_hide_a_missing_index() -> None:
    table = TableUse("main", "report", 40, 4_000_000, index_scans=0, index_rows_fetched=0, live_rows=100_000)
    observation = with_cache(*[missing(hits=3)] * 40, tables=(table,))
    assert diagnose(observation).bottleneck is Bottleneck.MISSING_INDEX
