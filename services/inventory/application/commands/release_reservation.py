"""Give back what a reservation holds, or void it before it is made."""

from services.inventory.api import ReleaseReservation, Reservation
from services.inventory.application.ports import LockedReservation, Stock, StockTransaction
from services.inventory.domain.reservation import release


class ReleaseReservationHandler:
    """Releases. Where nothing was reserved yet it leaves a tombstone: a ReserveStock still on its way must not hold."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, command: ReleaseReservation) -> Reservation:
        """Return it in a state that holds no stock. Raises ReservationStateConflict when it was confirmed."""
        async with self._stock.transaction("release_reservation") as transaction:
            await transaction.claim(command, command.request_id)
            found = await self._lock_or_void(transaction, command)
            if isinstance(found, Reservation):
                return found
            if step := release(found.reservation):
                return await transaction.take(found.reservation, step)
            return found.reservation

    async def _lock_or_void(
        self, transaction: StockTransaction, command: ReleaseReservation
    ) -> LockedReservation | Reservation:
        if locked := await transaction.lock_reservation(command.reservation_id):
            return locked
        if voided := await transaction.void(command.reservation_id):
            return voided
        # ReserveStock committed between the two statements, so now there is one to lock.
        locked = await transaction.lock_reservation(command.reservation_id)
        assert locked is not None, "reservations are never deleted"
        return locked
