"""Give back what a reservation holds whose time is over."""

from services.inventory.api import Reservation
from services.inventory.application.ports import Stock
from services.inventory.domain.reservation import expire


class ExpireReservationHandler:
    """Expires one reservation a transaction: its items are locked in order of SKU, as everywhere."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self) -> Reservation | None:
        """Return the reservation that was expired; None when no more is due, or others are at it."""
        async with self._stock.transaction("expire_reservation") as transaction:
            due = await transaction.lock_due()
            return await transaction.take(due, expire(due)) if due else None
