"""Orders on several servers: each call goes to the server that has the customer's logical shard."""

from collections.abc import Sequence
from uuid import UUID

from services.order.api import CancelOrder, PlaceOrder
from services.order.application.ports import Orders
from services.order.domain.order import Change, Order
from services.order.domain.shard_map import ShardMap


class ShardedOrders:
    """Satisfies `ports.Orders`; `servers` are the orders of each server, in order of their numbers in the map."""

    def __init__(self, *, servers: Sequence[Orders], shard_map: ShardMap) -> None:
        self._servers = servers
        self._map = shard_map

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order with the command's request id, or return the order that was first stored with it."""
        return await self._of(command.customer_id).add(placed, command)

    async def find(self, command: PlaceOrder) -> Order | None:
        """Return the order that was first stored with the command's request id; None without one."""
        return await self._of(command.customer_id).find(command)

    async def claim(self, command: CancelOrder, requested: Change | None) -> Order:
        """Store the cancellation request with the command's request id, in one transaction."""
        return await self._of(command.customer_id).claim(command, requested)

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order. Raises OrderNotFound, also for another customer's order."""
        return await self._of(customer_id).get(order_id, customer_id)

    async def read(self, order_id: UUID, customer_id: UUID, *, version: int) -> Order:
        """Return the customer's order in its present state. Raises OrderNotFound."""
        return await self._of(customer_id).read(order_id, customer_id, version=version)

    async def save(self, change: Change) -> None:
        """Store the order's next event. Raises VersionConflict when its version is taken."""
        await self._of(change.order.customer_id).save(change)

    def _of(self, customer_id: UUID) -> Orders:
        return self._servers[self._map.server_of(customer_id)]
