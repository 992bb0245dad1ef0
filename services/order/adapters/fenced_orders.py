"""Orders on one of several servers: rejects calls for customers whose logical shard the server does not have."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import asyncpg

from services.order.adapters.shard_fences import ShardFenced, ShardFences, is_fenced
from services.order.api import CancelOrder, PlaceOrder
from services.order.application.ports import Orders
from services.order.domain.logical_shard import logical_shard_of
from services.order.domain.order import Change, Order


class FencedOrders:
    """Satisfies `ports.Orders`. Each call may raise ShardFenced, with nothing written.

    orders: the server's orders, whose reads raise ShardFenced.
    fences: the server's fences.
    """

    def __init__(self, *, orders: Orders, fences: ShardFences) -> None:
        self._orders = orders
        self._fences = fences

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order with the command's request id, or return the order that was first stored with it."""
        with rejections():
            return await self._orders.add(placed, command)

    async def find(self, command: PlaceOrder) -> Order | None:
        """Return the order that was first stored with the command's request id; None without one."""
        order = await self._orders.find(command)
        if order is None:
            # A server that has handed a logical shard over has deleted its request ids.
            await self._fences.check(logical_shard_of(command.customer_id))
        return order

    async def claim(self, command: CancelOrder, requested: Change | None) -> Order:
        """Store the cancellation request with the command's request id, in one transaction."""
        with rejections():
            return await self._orders.claim(command, requested)

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order. Raises OrderNotFound, also for another customer's order."""
        return await self._orders.get(order_id, customer_id)

    async def read(self, order_id: UUID, customer_id: UUID, *, version: int) -> Order:
        """Return the customer's order, always its latest version. Satisfies `ports.OrderReader`."""
        return await self.get(order_id, customer_id)

    async def save(self, change: Change) -> None:
        """Store the order's next event. Raises VersionConflict when its version is taken."""
        with rejections():
            await self._orders.save(change)


@contextmanager
def rejections() -> Iterator[None]:
    """Raise ShardFenced for a write that the server's fence rejects."""
    try:
        yield
    except asyncpg.PostgresError as error:
        if is_fenced(error):
            raise ShardFenced from error
        raise
