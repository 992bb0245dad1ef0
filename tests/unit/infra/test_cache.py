"""Cache: reads of the source and the store, lifetimes, and a store that does not answer."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.telemetry.cache import CacheTelemetry
from services.infra.cache import ABSENT_SECONDS, POLICY, SHORTEST_SHARE, Cache, CacheUnavailable
from services.kernel.errors import Unavailable
from tests.patience import PATIENCE_SECONDS
from tests.unit.telemetry.counted import counted, counting

LIFETIME_SECONDS = 10.0


class Numbers:
    """Numbers as their digits."""

    version = 3

    def encode(self, value: int) -> bytes:
        """Return the digits."""
        return str(value).encode()

    def decode(self, data: bytes) -> int:
        """Return the number."""
        return int(data)


class World:
    """A cache with a clock and random numbers of the test, in front of a source that counts its reads."""

    def __init__(self, *, stored: bool = True, seed: int = 7) -> None:
        self.now = 100.0
        self.kept: dict[str, tuple[bytes, float]] = {}
        self.reads: Counter[str] = Counter()
        self.commands = self.lookups = 0
        self.is_away = self.is_dark = False
        self.failure: Exception | None = None
        self.telemetry = counting("shop")
        self.cache = Cache(
            self.source,
            store=self if stored else None,
            codec=Numbers(),
            lifetime_seconds=LIFETIME_SECONDS,
            telemetry=CacheTelemetry(self.telemetry, "numbers"),
            clock=lambda: self.now,
            draw=random.Random(seed).random,
        )

    async def source(self, names: tuple[str, ...]) -> Mapping[str, int]:
        """Return each number but 13, which there is not."""
        self.reads.update(names)
        await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        return {name: int(name) for name in names if name != "13"}

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is kept and has not ended."""
        self.lookups += 1
        await self._answer()
        values = [self.kept.get(key, (b"", 0.0)) for key in keys]
        return [data if end > self.now else None for data, end in values]

    async def write(self, values: Mapping[str, bytes], lifetimes_seconds: Mapping[str, float]) -> None:
        """Keep values."""
        await self._answer()
        self.kept |= {key: (data, self.now + lifetimes_seconds[key]) for key, data in values.items()}

    async def _answer(self) -> None:
        self.commands += 1
        if self.is_dark:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if self.is_away:
            raise CacheUnavailable

    def counted(self, result: str) -> float:
        """How many keys had a result."""
        return counted(self.telemetry, "shop_cache_lookups_total", context="shop", cache="numbers", result=result)


async def test_a_value_is_read_once_in_its_lifetime() -> None:
    world = World()
    for _ in range(3):
        assert await world.cache.get(("1", "2")) == {"1": 1, "2": 2}
    assert world.reads == {"1": 1, "2": 1}
    assert (world.counted("hit"), world.counted("miss")) == (4, 2)


async def test_only_missing_keys_are_read() -> None:
    world = World()
    await world.cache.get(("1", "2"))
    assert await world.cache.get(("1", "3", "2")) == {"1": 1, "2": 2, "3": 3}
    assert world.reads == {"1": 1, "2": 1, "3": 1}


async def test_a_value_ends_within_its_lifetime() -> None:
    world = World()
    await world.cache.get(("1",))
    world.now += LIFETIME_SECONDS
    await world.cache.get(("1",))
    assert world.reads == {"1": 2}


async def test_values_that_were_written_together_end_apart() -> None:
    """From two thirds of the lifetime on, evenly: of a hundred, some in each tenth of the last third."""
    world = World()
    await world.cache.get([str(number) for number in range(100, 200)])
    ends = sorted((end - world.now) / LIFETIME_SECONDS for _, end in world.kept.values())
    assert ends[0] >= SHORTEST_SHARE
    assert ends[-1] <= 1
    tenths = Counter(int(10 * (end - SHORTEST_SHARE) / (1 - SHORTEST_SHARE)) for end in ends)
    assert all(tenths[tenth] >= 2 for tenth in range(10))


async def test_without_jitter_they_would_end_together() -> None:
    """What the test above would find."""
    world = World()
    world.cache._draw = lambda: 1.0
    await world.cache.get([str(number) for number in range(100, 200)])
    assert len({end for _, end in world.kept.values()}) == 1


async def test_an_absent_key_is_cached_briefly() -> None:
    """Made-up keys cannot each time reach the source; it counts as a hit that the answer is known."""
    world = World()
    for _ in range(3):
        assert await world.cache.get(("13", "1")) == {"1": 1}
    assert world.reads == {"13": 1, "1": 1}
    assert (world.counted("hit"), world.counted("miss")) == (4, 2)


async def test_a_new_key_is_seen_soon_after_it_exists() -> None:
    """Long before a value would end."""
    world = World()
    await world.cache.get(("13",))
    world.now += ABSENT_SECONDS
    await world.cache.get(("13",))
    assert world.reads == {"13": 2}
    assert ABSENT_SECONDS < LIFETIME_SECONDS * SHORTEST_SHARE


async def test_without_a_store_absent_keys_are_read_each_time() -> None:
    world = World(stored=False)
    for _ in range(2):
        assert await world.cache.get(("13",)) == {}
    assert world.reads == {"13": 2}


async def test_a_failure_of_the_source_is_not_cached() -> None:
    world = World()
    world.failure = Unavailable(1.0)
    with pytest.raises(Unavailable):
        await world.cache.get(("1",))
    assert world.kept == {}
    world.failure = None
    assert await world.cache.get(("1",)) == {"1": 1}


async def test_a_value_of_another_encoding_is_read_anew() -> None:
    world = World()
    world.kept["numbers:3:1"] = (b"one", world.now + 1)
    assert await world.cache.get(("1",)) == {"1": 1}
    assert world.kept["numbers:3:1"][0] == b"1"


async def test_the_version_is_part_of_the_key() -> None:
    """A process of an earlier version neither finds nor breaks the values of this one."""
    world = World()
    await world.cache.get(("1",))
    assert list(world.kept) == ["numbers:3:1"]


async def test_without_a_store_concurrent_requests_are_one_read() -> None:
    world = World(stored=False)
    await asyncio.gather(*(world.cache.get(("1",)) for _ in range(10)))
    assert world.reads == {"1": 1}
    assert (world.commands, world.counted("shared"), world.counted("unavailable")) == (0, 9, 0)


@pytest.mark.parametrize("how", ["is_away", "is_dark"])
async def test_a_silent_cache_costs_three_waits_and_is_then_skipped(how: str) -> None:
    """The source answers all the same; each read of the cache that was spared is counted."""
    world = World()
    setattr(world, how, True)
    for _ in range(10):
        assert await world.cache.get(("1",)) == {"1": 1}
    assert world.commands == POLICY.failures_in_a_row
    assert world.counted("unavailable") == 10


async def test_an_unavailable_cache_does_not_cause_a_stampede() -> None:
    world = World()
    world.is_away = True
    for _ in range(3):
        await asyncio.gather(*(world.cache.get(("1",)) for _ in range(50)))
    assert world.reads == {"1": 3}


async def test_a_cache_that_is_back_is_found_by_one() -> None:
    """Of all who come after a second, one tries; then all use it."""
    world = World()
    world.is_away = True
    for _ in range(4):
        await world.cache.get(("1",))
    world.is_away, before = False, world.lookups
    world.now += POLICY.longest_open_seconds
    names = [str(number) for number in range(20, 30)]
    await asyncio.gather(*(world.cache.get((name,)) for name in names))
    assert world.lookups - before == 1
    await world.cache.get(names)
    assert world.counted("hit") == len(names)


async def test_a_dark_cache_is_waited_for_no_longer_than_its_time() -> None:
    """The wait ends by the limit, not by the cache: without one this test would hang."""
    world = World()
    world.is_dark = True
    async with asyncio.timeout(PATIENCE_SECONDS):
        await world.cache.get(("1",))


@given(st.integers(min_value=1, max_value=200), st.integers(min_value=0, max_value=2**32))
def test_a_stampede_is_one_read_a_key(crowd: int, seed: int) -> None:
    """Any number of requests, each for some of twenty keys in any order, on an empty cache: twenty reads at most."""

    async def scenario() -> None:
        world, dice = World(), random.Random(seed)
        names = [str(number) for number in range(100, 120)]
        wanted = [dice.sample(names, dice.randint(1, 20)) for _ in range(crowd)]
        answers = await asyncio.gather(*(world.cache.get(each) for each in wanted))
        assert answers == [{name: int(name) for name in each} for each in wanted]
        assert max(world.reads.values()) == 1

    asyncio.run(scenario())
