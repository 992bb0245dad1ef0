"""Read-through cache in front of an expensive read of many keys; reads go on while its server is unavailable.

The naive one reads the cache, then the source, then writes: when a popular value ends, all who want it read the source
at once (a stampede); values that were written together end together, each time anew; and a cache that does not answer
holds up every request for its time limit, although all that it holds could be had without it. Here

- one flight a key asks, the cache and then the source, and all others in the process wait for it (`single_flight`);
- a value lives up to a third shorter than it may, by a dice of its own;
- the cache has 50 ms. After three failures in a row it is left alone for a second, longer each time, and then tried by
  one; meanwhile the source answers, still one flight a key;
- two reads of the source at once are the most, whatever is missing: others need its connections too;
- a failure of the source goes to those who wait for it, and is never stored.

What does not exist is stored too, for two seconds at most: keys that are made up, and asked for again and again, would
all reach the source otherwise. How many there are at once is bounded by the store's memory. There is no way to take a
value back. Keep in here what may be as old as `lifetime_seconds`, and nothing that decides anything.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from observability.telemetry.cache import CacheTelemetry
from services.infra import deadline
from services.infra.circuit_breaker import CallOutcome, CircuitBreaker, Policy
from services.infra.single_flight import SingleFlight
from services.kernel.errors import CircuitOpen

# A server of a cache answers within a millisecond; much later the source may as well be asked.
WAIT_SECONDS = 0.05
# The most that a read of the source may take, for however patient a caller.
FLIGHT_SECONDS = 2.0
MOST_FLIGHTS = 64
# So many dear reads at once, for all keys together: they must not take the connections that others need.
MOST_READS = 2
# What did not exist may exist by now, which is seen after this time at most.
ABSENT_SECONDS = 2.0
ABSENT = b""
# A value lives for between this share of its lifetime and all of it.
SHORTEST_SHARE = 2 / 3
# One that is slow fails by its time limit, so slowness has no number of its own here.
POLICY = Policy(
    failures_in_a_row=3,
    slow_seconds=FLIGHT_SECONDS,
    open_seconds=1.0,
    longest_open_seconds=8.0,
    probes=1,
    probe_seconds=1.0,
)

Value = TypeVar("Value")
Result = TypeVar("Result")
Read = Callable[[tuple[str, ...]], Awaitable[Mapping[str, Value]]]


class CacheUnavailable(Exception):
    """The server of the cache is away, refuses, or does not answer in time."""


class Store(Protocol):
    """Where values are kept: bytes by key, each with an end. Whoever calls it bounds the wait."""

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return a value or None for each key. Raises CacheUnavailable."""

    async def write(self, values: Mapping[str, bytes], lifetimes_seconds: Mapping[str, float]) -> None:
        """Keep values, each for its lifetime. Raises CacheUnavailable."""


class Codec(Protocol[Value]):
    """How a value becomes bytes. Whoever changes it changes `version`, which is part of each key."""

    version: int

    def encode(self, value: Value) -> bytes:
        """Return the bytes, at least one."""

    def decode(self, data: bytes) -> Value:
        """Return the value. Raises ValueError for what is none."""


class Cache(Generic[Value]):
    """Values by key, from the store while they last and from `read` otherwise; without a store always from `read`.

    `clock` is monotonic, in seconds; `draw` gives a number from 0 to 1.
    """

    def __init__(
        self,
        read: Read[Value],
        *,
        store: Store | None,
        codec: Codec[Value],
        lifetime_seconds: float,
        telemetry: CacheTelemetry,
        clock: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._read = read
        self._store = store
        self._codec = codec
        self._lifetime_seconds = lifetime_seconds
        self._telemetry = telemetry
        self._clock = clock
        self._draw = draw
        self._reads = asyncio.Semaphore(MOST_READS)
        self._breaker = CircuitBreaker(POLICY, draw=draw, on_transition=telemetry.changed)
        self._flights = SingleFlight(self._fetch, seconds=FLIGHT_SECONDS, most=MOST_FLIGHTS)
        telemetry.begin_at_zero()

    async def get(self, names: Sequence[str]) -> Mapping[str, Value]:
        """Return the values that exist. Raises what `read` raises, DeadlineExceeded, Overloaded."""
        with self._telemetry.asking() as asking:
            return await self._flights.get(names, shared=asking.shared)

    async def _fetch(self, names: tuple[str, ...]) -> Mapping[str, Value]:
        known = await self._look_up(names, self._store) if self._store else {}
        if missing := tuple(name for name in names if name not in known):
            async with self._reads:
                with self._telemetry.reading_source():
                    fresh = await self._read(missing)
            read = {name: fresh.get(name) for name in missing}
            if self._store:
                await self._keep(read, self._store)
            known = {**known, **read}
        return {name: value for name, value in known.items() if value is not None}

    async def _look_up(self, names: tuple[str, ...], store: Store) -> Mapping[str, Value | None]:
        """Return what the store knows: a value, or None for what does not exist."""
        try:
            values = await self._ask(lambda: store.read([self._key(name) for name in names]))
        except CacheUnavailable:
            self._telemetry.unavailable(len(names))
            return {}
        stored = {name: data for name, data in zip(names, values, strict=True) if data is not None}
        decoded = {name: self._decoded(data) for name, data in stored.items()}
        known = {name: value for name, value in decoded.items() if value is not None or stored[name] == ABSENT}
        self._telemetry.looked_up(hits=len(known), misses=len(names) - len(known))
        return known

    async def _keep(self, values: Mapping[str, Value | None], store: Store) -> None:
        encoded = {
            self._key(name): ABSENT if value is None else self._codec.encode(value) for name, value in values.items()
        }
        lifetimes = {key: self._drawn_lifetime_seconds(data) for key, data in encoded.items()}
        try:
            await self._ask(lambda: store.write(encoded, lifetimes))
        except CacheUnavailable:
            # Seen by the breaker and in the command's own sample; the answer is there all the same.
            return

    async def _ask(self, command: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run a command of the store for at most 50 ms, unless it is left alone. Raises CacheUnavailable."""
        try:
            permit = self._breaker.admit(self._clock())
        except CircuitOpen as error:
            raise CacheUnavailable from error
        began, outcome = self._clock(), CallOutcome.GIVEN_UP
        try:
            async with asyncio.timeout(min(WAIT_SECONDS, deadline.remaining_seconds())):
                result = await command()
            outcome = CallOutcome.ANSWERED
            return result
        except (TimeoutError, CacheUnavailable) as error:
            outcome = CallOutcome.FAILED
            raise CacheUnavailable from error
        finally:
            now = self._clock()
            self._breaker.record(permit, outcome, seconds=now - began, now=now)

    def _decoded(self, data: bytes) -> Value | None:
        """Return the value; None for what does not exist, and for bytes of another make, which are read anew."""
        if data == ABSENT:
            return None
        try:
            return self._codec.decode(data)
        except ValueError:
            return None

    def _drawn_lifetime_seconds(self, data: bytes) -> float:
        most = min(ABSENT_SECONDS, self._lifetime_seconds) if data == ABSENT else self._lifetime_seconds
        return most * (SHORTEST_SHARE + (1 - SHORTEST_SHARE) * self._draw())

    def _key(self, name: str) -> str:
        return f"{self._telemetry.cache}:{self._codec.version}:{name}"
