"""The saga of an order: reserve, price and confirm its stock, or release it; every step may be repeated."""

from collections.abc import Callable
from dataclasses import dataclass

from services.inventory import api as inventory
from services.kernel.clock import Clock
from services.kernel.errors import ServiceError
from services.order.api import Rejection, Shortage, VersionConflict
from services.order.application.ports import Orders
from services.order.domain.order import CannotSell, Change, Order

# The reservation has ended without a sale, so the order can no longer be sold.
LOST = (inventory.ReservationExpired, inventory.ReservationVoided, inventory.ReservationStateConflict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleOrder:
    """Settles one order. The steps' request ids are made of the order's id, so a repeat does nothing twice.

    A request settles its own order, and the saga worker those that a crash interrupted. Both at once do no harm:
    inventory gives both the same answers, and the first end that is stored is kept. `compensated` is called each time
    that stock was released or returned.
    """

    orders: Orders
    inventory: inventory.InventoryService
    clock: Clock
    compensated: Callable[[], None]

    async def __call__(self, order: Order) -> Order:
        """Return the order at rest. Raises the kernel's errors when an outcome is unknown; the order is unchanged."""
        while not order.is_at_rest:
            step = self._compensate if order.cancellation_requested else self._sell
            order = await self._save(await step(order), before=order)
        return order

    async def in_time(self, order: Order) -> Order:
        """Return the order at rest, or as it was stored when it is not settled in time: the saga worker continues.

        An error of a step is no error of the request, whose order is stored. The step has recorded it.
        """
        try:
            return await self(order)
        except ServiceError:
            return order

    async def _sell(self, order: Order) -> Change:
        try:
            return await self._reserve_and_confirm(order)
        except inventory.OutOfStock as error:
            shortages = tuple(Shortage(short.sku, short.requested, short.available) for short in error.shortages)
            rejection = Rejection(error.reason, shortages=shortages)
        except inventory.SkuNotFound as error:
            rejection = Rejection(error.reason, skus=error.skus)
        except LOST as error:
            rejection = Rejection(error.reason)
        return order.reject(rejection, at=self.clock())

    async def _reserve_and_confirm(self, order: Order) -> Change:
        lines = tuple(inventory.StockLine(line.sku, line.quantity) for line in order.lines)
        reserve = inventory.ReserveStock(f"{order.order_id}:reserve", order.order_id, lines)
        reservation = await self.inventory.reserve_stock(reserve)
        try:
            sale = order.complete(
                {line.sku: line.unit_price for line in reservation.lines if line.unit_price}, at=self.clock()
            )
        except CannotSell as error:
            await self._release(order)
            return order.reject(error.rejection, at=self.clock())
        confirm = inventory.ConfirmReservation(f"{order.order_id}:confirm", order.order_id)
        await self.inventory.confirm_reservation(confirm)
        return sale

    async def _compensate(self, order: Order) -> Change:
        try:
            await self._release(order)
        except inventory.ReservationStateConflict:  # it was sold, so its goods are returned
            return_stock = inventory.ReturnStock(f"{order.order_id}:return", order.order_id)
            await self.inventory.return_stock(return_stock)
            self.compensated()
        return order.cancel(at=self.clock())

    async def _release(self, order: Order) -> None:
        release = inventory.ReleaseReservation(f"{order.order_id}:release", order.order_id)
        await self.inventory.release_reservation(release)
        self.compensated()

    async def _save(self, change: Change, *, before: Order) -> Order:
        try:
            await self.orders.save(change)
        except VersionConflict:
            # Another call was first, or the customer cancelled meanwhile: the stored order decides the next step.
            current = await self.orders.get(before.order_id, before.customer_id)
            if current.version == before.version:
                raise
            return current
        return change.order
