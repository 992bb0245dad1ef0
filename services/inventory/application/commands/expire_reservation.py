"""Expire a reservation: release the stock that was not confirmed in time."""

from uuid import UUID

from services.inventory.api import Reservation
from services.inventory.application.ports import Stock
from services.inventory.domain.reservation import expire


class ExpireReservationHandler:
    """Expires one reservation a transaction, since items must be locked in order of SKU."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, reservation_id: UUID) -> Reservation | None:
        """Return the reservation EXPIRED; None if it is no longer PENDING, or another transaction holds it."""
        async with self._stock.transaction("expire_reservation") as transaction:
            due = await transaction.lock_due(reservation_id)
            return await transaction.take(due, expire(due)) if due else None
