"""Release the stock of a reservation; if there is none yet, mark it so that a late ReserveStock holds nothing."""

from services.inventory.api import ReleaseReservation, Reservation
from services.inventory.application.ports import LockedReservation, Stock, StockTransaction
from services.inventory.domain.reservation import release


class ReleaseReservationHandler:
    """Releases a reservation. Before it exists, a tombstone is stored, so that a late ReserveStock holds no stock."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, command: ReleaseReservation) -> Reservation:
        """Return the reservation without stock. Raises ReservationStateConflict when it was confirmed."""
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
        # ReserveStock committed between the two statements, so the reservation exists now.
        locked = await transaction.lock_reservation(command.reservation_id)
        assert locked is not None, "reservations are never deleted"
        return locked
