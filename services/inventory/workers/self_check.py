"""Periodic check that the stock adds up, for a gauge; `plumb verify` checks all invariants."""

from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.inventory.adapters.postgres import PostgresStock

CHECK_SECONDS = 60.0
# A check that takes longer is cancelled, so that it does not slow the shop down.
LIMIT_SECONDS = 2.0


class SelfCheck:
    """Counts the items whose reserved units are not those of PENDING reservations."""

    def __init__(self, *, stock: PostgresStock, telemetry: Telemetry) -> None:
        self._stock = stock
        self._violations = 0
        telemetry.metrics.invariant_violations.read_from(lambda: float(self._violations), telemetry.context)

    async def step(self) -> float:
        """Check once; return the seconds to wait before the next step."""
        with deadline.within(LIMIT_SECONDS):
            self._violations = await self._stock.count_violations()
        return CHECK_SECONDS
