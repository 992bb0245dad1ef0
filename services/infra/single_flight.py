"""Who asks, when many want the same at once? One for all: a flight a key, and whoever comes meanwhile waits for it.

Without it every request that finds a popular value gone asks for it anew, and the source, which takes a while, gets as
many reads as there are requests in that while. The naive one awaits what the first one began: when the customer of the
first hangs up, or has little time, all fail; or it keeps a failure, and hands it to who comes later. Here a flight is a
task with a time limit of its own. Each waits as long as its own deadline says and takes nobody along when it leaves.
A failure goes to all who waited for it, and the next one asks again.

All of it runs on one event loop, without a lock. Another process has flights of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from services.infra import deadline
from services.kernel.errors import DeadlineExceeded, Overloaded

RETRY_AFTER_SECONDS = 1.0

Value = TypeVar("Value")
Flight: TypeAlias = asyncio.Task[Mapping[str, Value]]


class SingleFlight(Generic[Value]):
    """Fetches values by key, never a key twice at once.

    `fetch` gets the keys that nobody is fetching and returns those that exist. A flight may take `seconds`; at most
    `most` are under way.
    """

    def __init__(
        self, fetch: Callable[[tuple[str, ...]], Awaitable[Mapping[str, Value]]], *, seconds: float, most: int
    ) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._most = most
        self._flights: dict[str, Flight[Value]] = {}
        self._under_way: set[Flight[Value]] = set()

    async def get(
        self, keys: Collection[str], *, shared: Callable[[int], None] = lambda _count: None
    ) -> Mapping[str, Value]:
        """Return the values of the keys that exist, within the deadline; say how many keys were on their way already.

        Raises what `fetch` raised, DeadlineExceeded, and Overloaded when too many flights are under way.
        """
        flights = {key: flight for key in keys if (flight := self._flights.get(key)) and not flight.done()}
        shared(len(flights))
        if own := tuple(key for key in keys if key not in flights):
            flights |= dict.fromkeys(own, self._begin(own))
        if not flights:
            return {}
        _, late = await asyncio.wait(set(flights.values()), timeout=deadline.remaining_seconds())
        if late:
            raise DeadlineExceeded
        landed = {key: flight.result() for key, flight in flights.items()}
        return {key: found[key] for key, found in landed.items() if key in found}

    def _begin(self, keys: tuple[str, ...]) -> Flight[Value]:
        if len(self._under_way) >= self._most:
            raise Overloaded(RETRY_AFTER_SECONDS)
        flight = asyncio.create_task(self._fly(keys))
        self._under_way.add(flight)
        self._flights |= dict.fromkeys(keys, flight)
        flight.add_done_callback(partial(self._landed, keys))
        return flight

    async def _fly(self, keys: tuple[str, ...]) -> Mapping[str, Value]:
        """Fetch for all who wait: not within the deadline of who came first."""
        with deadline.anew(self._seconds):
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._fetch(keys)
            except TimeoutError as error:
                raise DeadlineExceeded from error

    def _landed(self, keys: tuple[str, ...], flight: Flight[Value]) -> None:
        self._under_way.discard(flight)
        for key in keys:
            if self._flights.get(key) is flight:
                del self._flights[key]
        if not flight.cancelled():
            # Whoever waited has it. Asked for here, it is no complaint of asyncio's when all have left.
            flight.exception()
