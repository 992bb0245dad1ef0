"""How does a PENDING order come to its end? Reserve, price, confirm; anyone may repeat any step at any time."""

from dataclasses import dataclass
from functools import partial

from services.inventory import api as inventory
from services.kernel.clock import Clock
from services.order.api import OrderState, Rejection, Shortage, VersionConflict
from services.order.application.ports import Orders, UntilKnown
from services.order.domain.order import CannotSell, Order

# The order will never be sold: the reservation has ended in another way.
LOST = (inventory.ReservationExpired, inventory.ReservationVoided, inventory.ReservationStateConflict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleOrder:
    """Drives one order to its end. The steps' request ids come from the order's id, so a repeat does nothing twice."""

    orders: Orders
    inventory: inventory.InventoryService
    until_known: UntilKnown
    clock: Clock

    async def __call__(self, order: Order) -> Order:
        """Return the order at its end. Raises the kernel's unknown outcomes when time is up: it is then PENDING."""
        try:
            settled = await self._sell(order)
        except inventory.OutOfStock as error:
            shortages = tuple(Shortage(short.sku, short.requested, short.available) for short in error.shortages)
            settled = order.reject(Rejection(error.reason, shortages=shortages), at=self.clock())
        except inventory.SkuNotFound as error:
            settled = order.reject(Rejection(error.reason, skus=error.skus), at=self.clock())
        except LOST as error:
            settled = order.reject(Rejection(error.reason), at=self.clock())
        return await self._keep(settled)

    async def _sell(self, order: Order) -> Order:
        lines = tuple(inventory.StockLine(line.sku, line.quantity) for line in order.lines)
        reserve = inventory.ReserveStock(f"{order.order_id}:reserve", order.order_id, lines)
        reservation = await self.until_known(partial(self.inventory.reserve_stock, reserve))
        try:
            priced = order.price({line.sku: line.unit_price for line in reservation.lines if line.unit_price})
        except CannotSell as error:
            await self.until_known(partial(self.inventory.release_reservation, release(order)))
            return order.reject(error.rejection, at=self.clock())
        confirm = inventory.ConfirmReservation(f"{order.order_id}:confirm", order.order_id)
        await self.until_known(partial(self.inventory.confirm_reservation, confirm))
        return priced.confirm(at=self.clock())

    async def _keep(self, settled: Order) -> Order:
        try:
            await self.orders.save(settled)
        except VersionConflict:
            # Another call settled or cancelled it first; inventory gave both the same answer, and the first one stands.
            first = await self.orders.get(settled.order_id, settled.customer_id)
            if first.state is OrderState.PENDING:
                raise
            return first
        return settled


def release(order: Order) -> inventory.ReleaseReservation:
    """Return the command that gives back what the order holds."""
    return inventory.ReleaseReservation(f"{order.order_id}:release", order.order_id)
