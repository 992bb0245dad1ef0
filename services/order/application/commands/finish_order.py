"""Finish an order whose request ended before it did: a process died, time ran out, inventory was away."""

from services.order.application.ports import Orders, Saga
from services.order.application.settle_order import SettleOrder
from services.order.domain.order import Order


class FinishOrderHandler:
    """Settles an order for nobody but itself."""

    def __init__(self, *, orders: Orders, settle: SettleOrder) -> None:
        self._orders = orders
        self._settle = settle

    async def __call__(self, saga: Saga) -> Order:
        """Return the order at rest. Raises the kernel's unknown outcomes."""
        return await self._settle(await self._orders.get(saga.order_id, saga.customer_id))
