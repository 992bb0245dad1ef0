"""Who gives back what was reserved and never confirmed? The sweeper, a worker of every inventory process."""

from collections.abc import Awaitable, Callable

from observability.telemetry.telemetry import Telemetry
from services.inventory.adapters.postgres import PostgresStock, ReservationBacklog
from services.inventory.api import Reservation

BATCH_SIZE = 100


class Sweeper:
    """Expires reservations that are due, every `sweep_seconds`. Its spans appear only when something has expired."""

    def __init__(
        self,
        *,
        stock: PostgresStock,
        expire: Callable[[], Awaitable[Reservation | None]],
        sweep_seconds: float,
        telemetry: Telemetry,
    ) -> None:
        self._stock = stock
        self._expire = expire
        self._sweep_seconds = sweep_seconds
        self._telemetry = telemetry
        self._backlog = ReservationBacklog(0, 0)
        telemetry.metrics.reservations_pending.read_from(lambda: float(self._backlog.pending), telemetry.context)
        telemetry.metrics.reservations_expired.add(0, telemetry.context)

    async def step(self) -> float:
        """Expire one batch; return the seconds to wait before the next step."""
        self._backlog = await self._stock.backlog()
        if not self._backlog.due:
            return self._sweep_seconds
        with self._telemetry.tracer.start_as_current_span(f"{self._telemetry.context}.sweep"):
            for _ in range(BATCH_SIZE):
                reservation = await self._expire()
                if reservation is None:
                    return self._sweep_seconds
                self._telemetry.metrics.reservations_expired.add(1, self._telemetry.context)
                event = f"{self._telemetry.context}.reservation_expired"
                self._telemetry.log.info(event, reservation_id=str(reservation.reservation_id))
        return 0.0
