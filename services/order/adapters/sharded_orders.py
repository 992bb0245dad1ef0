"""Orders on several servers: routes each call to the server that has the customer's logical shard."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TypeVar
from uuid import UUID

from services.infra import deadline
from services.infra.admission import waiting_downstream
from services.kernel.errors import Unavailable
from services.order.adapters.fenced_orders import FencedOrders
from services.order.adapters.shard_fences import ShardFenced
from services.order.adapters.shard_maps import PostgresShardMaps
from services.order.api import CancelOrder, PlaceOrder
from services.order.application.ports import OrderReader
from services.order.domain.order import Change, Order
from services.order.domain.shard_map import ShardMap

Result = TypeVar("Result")

# A move hands a logical shard over within a fraction of a second.
MOST_WAIT_SECONDS = 2.0
POLL_SECONDS = 0.02
RETRY_AFTER_SECONDS = 1.0


class ShardedOrders:
    """Satisfies `ports.Orders`. All sequences are in order of the servers' numbers in the map.

    servers: the orders of each server.
    readers: what single orders of each server are read with.
    maps: the stored maps; read again when a server has handed a logical shard over.
    shard_map: the map to begin with.
    """

    def __init__(
        self,
        *,
        servers: Sequence[FencedOrders],
        readers: Sequence[OrderReader],
        maps: PostgresShardMaps,
        shard_map: ShardMap,
    ) -> None:
        self._servers = servers
        self._readers = readers
        self._maps = maps
        self._map = shard_map
        self._reading_map = asyncio.Lock()

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order with the command's request id, or return the order that was first stored with it."""
        return await self._call(command.customer_id, lambda server: self._servers[server].add(placed, command))

    async def find(self, command: PlaceOrder) -> Order | None:
        """Return the order that was first stored with the command's request id; None without one."""
        return await self._call(command.customer_id, lambda server: self._servers[server].find(command))

    async def claim(self, command: CancelOrder, requested: Change | None) -> Order:
        """Store the cancellation request with the command's request id, in one transaction."""
        return await self._call(command.customer_id, lambda server: self._servers[server].claim(command, requested))

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order. Raises OrderNotFound, also for another customer's order."""
        return await self._call(customer_id, lambda server: self._servers[server].get(order_id, customer_id))

    async def read(self, order_id: UUID, customer_id: UUID, *, version: int) -> Order:
        """Return the customer's order, not older than `version` unless its server has it no newer."""
        return await self._call(
            customer_id, lambda server: self._readers[server].read(order_id, customer_id, version=version)
        )

    async def save(self, change: Change) -> None:
        """Store the order's next event. Raises VersionConflict when its version is taken."""
        await self._call(change.order.customer_id, lambda server: self._servers[server].save(change))

    async def _call(self, customer_id: UUID, call: Callable[[int], Awaitable[Result]]) -> Result:
        """Make a call on the customer's server; while the logical shard is handed over, wait for the next map.

        Raises Unavailable when that takes too long.
        """
        ends = monotonic() + min(MOST_WAIT_SECONDS, deadline.remaining_seconds() - deadline.MARGIN_SECONDS)
        while True:
            used = self._map
            try:
                return await call(used.server_of(customer_id))
            except ShardFenced:
                with waiting_downstream():
                    await self._wait_for_map(used.epoch, ends - monotonic())

    async def _wait_for_map(self, used_epoch: int, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                while self._map.epoch <= used_epoch:
                    # One call reads the map for all that wait.
                    async with self._reading_map:
                        if self._map.epoch <= used_epoch:
                            await self._read_map()
        except TimeoutError as error:
            raise Unavailable(RETRY_AFTER_SECONDS) from error

    async def _read_map(self) -> None:
        stored = await self._maps.current()
        # A map that names a server beyond the settings is for processes that are started with new ones.
        if stored.epoch > self._map.epoch and max(stored.servers) < len(self._servers):
            self._map = stored
        else:
            await asyncio.sleep(POLL_SECONDS)
