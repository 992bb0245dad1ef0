"""Give back what a reservation holds whose time is over."""

from uuid import UUID

from services.inventory.api import Reservation
from services.inventory.application.ports import Stock
from services.inventory.domain.reservation import expire


class ExpireReservationHandler:
    """Expires one reservation a transaction: its items are locked in order of SKU, as everywhere."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, reservation_id: UUID) -> Reservation | None:
        """Return it EXPIRED; None when it left PENDING meanwhile, or somebody else is at it."""
        async with self._stock.transaction("expire_reservation") as transaction:
            due = await transaction.lock_due(reservation_id)
            return await transaction.take(due, expire(due)) if due else None
