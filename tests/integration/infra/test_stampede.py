"""Reads that reach the source when a cache is emptied under load, compared with naive caches."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from observability.telemetry.cache import CacheTelemetry
from services.infra.cache import Cache
from services.infra.valkey_store import ValkeyStore
from services.local.servers.valkey import EmbeddedValkey
from tests.unit.infra.test_cache import Numbers
from tests.unit.telemetry.counted import counting

NAMES = tuple(map(str, range(100, 110)))
CROWD = 50
LIFETIME_SECONDS = 60.0


@dataclass
class Naive:
    """Cache-aside as it is written first: look, read, write, each by itself; each value lives as long as the others."""

    store: ValkeyStore
    source: "Source"

    async def get(self, names: tuple[str, ...]) -> Mapping[str, int]:
        """Return the values."""
        keys = [f"naive:{name}" for name in names]
        values = await self.store.read(keys)
        found = {name: int(data) for name, data in zip(names, values, strict=True) if data is not None}
        if missing := tuple(name for name in names if name not in found):
            fresh = await self.source(missing)
            encoded = {f"naive:{name}": str(value).encode() for name, value in fresh.items()}
            await self.store.write(encoded, dict.fromkeys(encoded, LIFETIME_SECONDS))
            found |= fresh
        return found


@dataclass
class Source:
    """An expensive read, which blocks until the test releases it, when all requests have arrived."""

    reads: Counter[str] = field(default_factory=Counter)
    asking: int = 0

    async def __call__(self, names: tuple[str, ...]) -> Mapping[str, int]:
        """Return each number, after as many rounds of the event loop as all requests need to arrive."""
        self.reads.update(names)
        self.asking += 1
        await asyncio.sleep(0.02)
        return {name: int(name) for name in names}


@pytest.fixture
async def store(valkey_server: EmbeddedValkey) -> AsyncIterator[ValkeyStore]:
    """Yield an empty store on a real server."""
    opened = ValkeyStore.open(valkey_server.url, telemetry=CacheTelemetry(counting("shop"), "numbers"))
    yield opened
    await opened.close()


def cache_of(store: ValkeyStore, source: Source) -> Cache[int]:
    """Ours, on that server."""
    return Cache(
        source,
        store=store,
        codec=Numbers(),
        lifetime_seconds=LIFETIME_SECONDS,
        telemetry=CacheTelemetry(counting("shop"), "numbers"),
        draw=random.Random(7).random,
    )


async def emptied_under_load(cache: Naive | Cache[int], store: ValkeyStore) -> None:
    """Let concurrent requests hit the cache, empty it, and send the same requests again."""
    await cache.get(NAMES)
    assert await cache.get(NAMES) == {name: int(name) for name in NAMES}
    await store._client.flushall()
    answers = await asyncio.gather(*(cache.get(NAMES) for _ in range(CROWD)))
    assert answers == [{name: int(name) for name in NAMES}] * CROWD


async def test_an_emptied_cache_costs_one_read_a_key(store: ValkeyStore) -> None:
    source = Source()
    await emptied_under_load(cache_of(store, source), store)
    assert source.reads == dict.fromkeys(NAMES, 2)
    assert source.asking == 2


async def test_the_naive_one_costs_a_read_a_request(store: ValkeyStore) -> None:
    """Or less: who finds its turn at a connection late enough finds what others wrote. It is more than one a key."""
    source = Source()
    await emptied_under_load(Naive(store, source), store)
    assert source.asking > 2


async def test_values_written_together_expire_one_by_one(store: ValkeyStore) -> None:
    """Of ten keys no three end within a hundredth of their lifetime."""
    await cache_of(store, Source()).get(NAMES)
    ends = sorted([await store._client.pttl(f"numbers:3:{name}") for name in NAMES])
    assert all(third - first > 10 * LIFETIME_SECONDS for (first, _), (_, third) in pairwise(pairwise(ends)))


async def test_the_naive_cache_expires_all_values_at_once(store: ValkeyStore) -> None:
    await Naive(store, Source()).get(NAMES)
    ends = [await store._client.pttl(f"naive:{name}") for name in NAMES]
    assert max(ends) - min(ends) < 10 * LIFETIME_SECONDS
