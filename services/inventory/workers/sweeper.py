"""The sweeper of every inventory process: it expires reservations that were not confirmed in time."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from observability.telemetry.telemetry import Telemetry
from services.inventory.adapters.postgres import DueReservation, PostgresStock, ReservationBacklog
from services.inventory.api import Reservation
from services.kernel.errors import Internal

BATCH_SIZE = 100


class Sweeper:
    """Expires the reservations that are due, every `sweep_seconds`. A sweep that finds none has no span.

    `expire` expires one reservation. It records and raises Internal when the stock does not add up; that reservation
    is tried again in each sweep, and does not delay the others.
    """

    def __init__(
        self,
        *,
        stock: PostgresStock,
        expire: Callable[[UUID], Awaitable[Reservation | None]],
        sweep_seconds: float,
        telemetry: Telemetry,
    ) -> None:
        self._stock = stock
        self._expire = expire
        self._sweep_seconds = sweep_seconds
        self._telemetry = telemetry
        self._backlog = ReservationBacklog(0, 0)
        self._after: DueReservation | None = None
        telemetry.metrics.reservations_pending.read_from(lambda: float(self._backlog.pending), telemetry.context)
        telemetry.metrics.reservations_expired.add(0, telemetry.context)

    async def step(self) -> float:
        """Expire one batch; return the seconds to wait before the next step."""
        self._backlog = await self._stock.backlog()
        if not self._backlog.due:
            return self._sweep_seconds
        with self._telemetry.tracer.start_as_current_span(f"{self._telemetry.context}.sweep"):
            due = await self._stock.read_due(after=self._after, limit=BATCH_SIZE)
            for reservation in due:
                await self._expire_one(reservation.reservation_id)
        is_last = len(due) < BATCH_SIZE
        self._after = None if is_last else due[-1]
        return self._sweep_seconds if is_last else 0.0

    async def _expire_one(self, reservation_id: UUID) -> None:
        telemetry = self._telemetry
        try:
            expired = await self._expire(reservation_id)
        except Internal as error:
            event = f"{telemetry.context}.reservation_not_expired"
            telemetry.log.warning(event, reservation_id=str(reservation_id), error_id=error.error_id)
            return
        if expired:
            telemetry.metrics.reservations_expired.add(1, telemetry.context)
            event = f"{telemetry.context}.reservation_expired"
            telemetry.log.info(event, reservation_id=str(reservation_id))
