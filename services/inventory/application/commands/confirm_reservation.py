"""Confirm a reservation: the stock that it holds becomes sold."""

from services.inventory.api import (
    ConfirmReservation,
    Reservation,
    ReservationExpired,
    ReservationNotFound,
    ReservationState,
)
from services.inventory.application.ports import Stock
from services.inventory.domain.reservation import confirm


class ConfirmReservationHandler:
    """Sells a reservation in time. One that is confirmed too late is stored as EXPIRED, and the call fails."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, command: ConfirmReservation) -> Reservation:
        """Return it CONFIRMED. Raises ReservationNotFound, -Expired, -Voided, -StateConflict."""
        async with self._stock.transaction("confirm_reservation") as transaction:
            await transaction.claim(command, command.request_id)
            locked = await transaction.lock_reservation(command.reservation_id)
            if locked is None:
                raise ReservationNotFound(command.reservation_id)
            reservation = locked.reservation
            if step := confirm(reservation, now=locked.now):
                reservation = await transaction.take(reservation, step)
        if reservation.state is ReservationState.EXPIRED:
            raise ReservationExpired(reservation.reservation_id)
        return reservation
