"""Read-through cache for an expensive read of many keys; reads go on while the cache server is unavailable.

A naive cache reads the cache, then the source, then writes. When a popular value expires, all its readers read the
source at once (a stampede). Values that were written together expire together, each time anew. And a cache that does
not answer delays every request by its timeout, although the source has all that it holds. Here

- one flight per key reads the cache and then the source; all others in the process wait for it (`single_flight`);
- each value's lifetime is shortened by a random share of up to a third;
- a command to the cache has 50 ms. After three failures in a row a circuit breaker skips the cache for a second, longer
  each time, and then sends one probe; meanwhile the source answers, still with one flight per key;
- at most two reads of the source run at once, since others need its connections too;
- a failure of the source is raised to the callers that wait for it, and is never stored.

Absent keys are stored too, for two seconds at most: otherwise repeated requests for made-up keys would all reach the
source. The store's memory bounds their number. Values cannot be invalidated: use it only for data that may be as old as
`lifetime_seconds`, and never to decide anything.
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

# A cache server answers within a millisecond; after this time the source is no slower.
WAIT_SECONDS = 0.05
# Limit of one read of the source, however long its callers can wait.
FLIGHT_SECONDS = 2.0
MOST_FLIGHTS = 64
# Concurrent reads of the source, for all keys together: they must not take the connections that others need.
MOST_READS = 2
# Lifetime of an absent key: a key that was created meanwhile is seen after this time at the latest.
ABSENT_SECONDS = 2.0
ABSENT = b""
# The random lifetime of a value is at least this share of the full one.
SHORTEST_SHARE = 2 / 3
# A slow command fails by its timeout, so the limit for slow calls is set out of reach.
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
    """The cache server is unavailable, returns an error, or does not answer in time."""


class Store(Protocol):
    """Store of a cache: bytes by key, each with a lifetime. The caller limits the time of each call."""

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return a value or None for each key. Raises CacheUnavailable."""

    async def write(self, values: Mapping[str, bytes], lifetimes_seconds: Mapping[str, float]) -> None:
        """Store values, each for its lifetime. Raises CacheUnavailable."""


class Codec(Protocol[Value]):
    """Encoding of values as bytes. A change of the encoding needs a new `version`, which is part of each key."""

    version: int

    def encode(self, value: Value) -> bytes:
        """Return the bytes, at least one."""

    def decode(self, data: bytes) -> Value:
        """Return the value. Raises ValueError for bytes that do not encode one."""


class Cache(Generic[Value]):
    """Values by key, from the store while they live and from the source otherwise.

    read: reads the values of keys from the source
    store: the cache server; None reads always from the source
    codec: encoding of values
    lifetime_seconds: longest age of a value
    clock: monotonic time in seconds
    draw: returns a random number from 0 to 1
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
        with self._telemetry.look_up() as asking:
            return await self._flights.get(names, shared=asking.shared)

    async def _fetch(self, names: tuple[str, ...]) -> Mapping[str, Value]:
        known = await self._look_up(names, self._store) if self._store else {}
        if missing := tuple(name for name in names if name not in known):
            async with self._reads:
                with self._telemetry.reading_source():
                    fresh = await self._read(missing)
            read = {name: fresh.get(name) for name in missing}
            if self._store:
                await self._write(read, self._store)
            known = {**known, **read}
        return {name: value for name, value in known.items() if value is not None}

    async def _look_up(self, names: tuple[str, ...], store: Store) -> Mapping[str, Value | None]:
        """Return the stored keys: each with its value, or None for a key that is known to be absent."""
        try:
            values = await self._run_command(lambda: store.read([self._key(name) for name in names]))
        except CacheUnavailable:
            self._telemetry.unavailable(len(names))
            return {}
        stored = {name: data for name, data in zip(names, values, strict=True) if data is not None}
        decoded = {name: self._decoded(data) for name, data in stored.items()}
        known = {name: value for name, value in decoded.items() if value is not None or stored[name] == ABSENT}
        self._telemetry.looked_up(hits=len(known), misses=len(names) - len(known))
        return known

    async def _write(self, values: Mapping[str, Value | None], store: Store) -> None:
        encoded = {
            self._key(name): ABSENT if value is None else self._codec.encode(value) for name, value in values.items()
        }
        lifetimes = {key: self._random_lifetime_seconds(data) for key, data in encoded.items()}
        try:
            await self._run_command(lambda: store.write(encoded, lifetimes))
        except CacheUnavailable:
            # The breaker and the command's metric have recorded it; the values are complete without it.
            return

    async def _run_command(self, command: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run a command of the store for at most 50 ms. Raises CacheUnavailable, also while the breaker is open."""
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
        """Return the value; None for an absent key, and for bytes that cannot be decoded, which are read anew."""
        if data == ABSENT:
            return None
        try:
            return self._codec.decode(data)
        except ValueError:
            return None

    def _random_lifetime_seconds(self, data: bytes) -> float:
        most = min(ABSENT_SECONDS, self._lifetime_seconds) if data == ABSENT else self._lifetime_seconds
        return most * (SHORTEST_SHARE + (1 - SHORTEST_SHARE) * self._draw())

    def _key(self, name: str) -> str:
        return f"{self._telemetry.cache}:{self._codec.version}:{name}"
