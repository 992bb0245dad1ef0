"""Reserve all lines of an order, or none."""

from services.inventory.api import Reservation, ReserveStock
from services.inventory.application.ports import Stock
from services.inventory.domain.reservation import check_answered, decide


class ReserveStockHandler:
    """Locks the items, decides, and stores the decision: a rejection is as final for this request as a reservation."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, command: ReserveStock) -> Reservation:
        """Return the reservation, on a repeat in its present state.

        Raises OutOfStock, SkuNotFound, ReservationExpired, ReservationVoided, ReservationStateConflict.
        """
        async with self._stock.transaction("reserve_stock") as transaction:
            if not await transaction.claim(command, command.request_id):
                first = await transaction.lock_reservation(command.reservation_id)
                assert first is not None, "a claimed ReserveStock has stored its reservation"
                return check_answered(first.reservation, first.unknown_skus, first.shortages)
            levels = await transaction.lock_levels(tuple(line.sku for line in command.lines))
            decision = decide(command.reservation_id, command.lines, levels)
            reservation = await transaction.add(decision)
        return check_answered(reservation, decision.unknown_skus, decision.shortages)
