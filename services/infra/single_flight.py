"""Single flight: concurrent requests for one key share one fetch.

Without it every request that misses a popular value fetches it anew, and the slow source gets as many reads as there
are requests meanwhile. A naive version awaits the fetch of the first request: when that client disconnects, or its
deadline is near, all requests fail; or it stores a failure and returns it to later requests. Here a flight is a task
with a timeout of its own. Each caller waits until its own deadline, and a caller that leaves does not cancel the
flight. A failure is raised to all callers that waited for it, and the next request fetches again.

All of it runs on one event loop, without a lock. Other processes have flights of their own.
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
    """Fetches values by key, each key at most once at a time.

    fetch: takes the keys that no flight fetches yet, and returns the values of those that exist
    seconds: timeout of a flight
    most: limit of concurrent flights
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
        """Return the values of the keys that exist; call `shared` with the number of keys that were already in flight.

        Raises the error of `fetch`, DeadlineExceeded, and Overloaded if there are too many flights.
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
        """Fetch for all callers, with a timeout that does not depend on the first caller's deadline."""
        with deadline.detached(self._seconds):
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
            # The callers get the error. Retrieving it here prevents asyncio's warning if all of them have left.
            flight.exception()
