"""Finish an order that its request left unsettled: a crash, a timeout, or inventory was unavailable."""

from services.order.application.ports import Orders, Saga
from services.order.application.settle_order import SettleOrder
from services.order.domain.order import Order


class FinishOrderHandler:
    """Settles the order of a saga, for the saga worker."""

    def __init__(self, *, orders: Orders, settle: SettleOrder) -> None:
        self._orders = orders
        self._settle = settle

    async def __call__(self, saga: Saga) -> Order:
        """Return the order at rest. Raises the kernel's unknown outcomes."""
        return await self._settle(await self._orders.get(saga.order_id, saga.customer_id))
