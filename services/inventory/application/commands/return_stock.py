"""Return the goods of a confirmed reservation to the stock."""

from services.inventory.api import Reservation, ReservationNotFound, ReturnStock
from services.inventory.application.ports import Stock
from services.inventory.domain.reservation import return_sold


class ReturnStockHandler:
    """Returns sold goods to the stock, once."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, command: ReturnStock) -> Reservation:
        """Return the reservation RETURNED. Raises ReservationNotFound, ReservationStateConflict."""
        async with self._stock.transaction("return_stock") as transaction:
            await transaction.claim(command, command.request_id)
            locked = await transaction.lock_reservation(command.reservation_id)
            if locked is None:
                raise ReservationNotFound(command.reservation_id)
            if step := return_sold(locked.reservation):
                return await transaction.take(locked.reservation, step)
            return locked.reservation
