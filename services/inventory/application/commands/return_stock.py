"""Put the goods of a confirmed reservation back on the shelf."""

from services.inventory.api import Reservation, ReservationNotFound, ReturnStock
from services.inventory.application.ports import Stock
from services.inventory.domain.reservation import bring_back


class ReturnStockHandler:
    """Brings sold goods back, once."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, command: ReturnStock) -> Reservation:
        """Return it RETURNED. Raises ReservationNotFound, ReservationStateConflict."""
        async with self._stock.transaction("return_stock") as transaction:
            await transaction.claim(command, command.request_id)
            locked = await transaction.lock_reservation(command.reservation_id)
            if locked is None:
                raise ReservationNotFound(command.reservation_id)
            if step := bring_back(locked.reservation):
                return await transaction.take(locked.reservation, step)
            return locked.reservation
