"""Inventory with programmable answers; satisfies `services.inventory.api.InventoryService`."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from services.inventory import api
from services.kernel.errors import CircuitOpen
from services.kernel.money import Money

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = Money("GBP", 250)


class FakeInventory:
    """Inventory that grants everything at `price`, records each call, and raises the errors of `failures` in turn."""

    def __init__(self, price: Money | Callable[[str], Money] = PRICE) -> None:
        self.calls: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        self.is_away = False
        self._price = price

    def check(self) -> None:
        """Say when it is away."""
        if self.is_away:
            raise CircuitOpen(5.0)

    async def check_availability(self, query: api.CheckAvailability) -> tuple[api.Shortage, ...]:
        """Return stock for everything."""
        return ()

    async def reserve_stock(self, command: api.ReserveStock) -> api.Reservation:
        """Grant the reservation."""
        self._note("reserve")
        lines = tuple(api.ReservedLine(line.sku, line.quantity, self._price_of(line.sku)) for line in command.lines)
        return api.Reservation(command.reservation_id, api.ReservationState.PENDING, lines, NOW, NOW)

    async def confirm_reservation(self, command: api.ConfirmReservation) -> api.Reservation:
        """Confirm the reservation."""
        return self._answer("confirm", command.reservation_id, api.ReservationState.CONFIRMED)

    async def release_reservation(self, command: api.ReleaseReservation) -> api.Reservation:
        """Release the reservation."""
        return self._answer("release", command.reservation_id, api.ReservationState.RELEASED)

    async def return_stock(self, command: api.ReturnStock) -> api.Reservation:
        """Return sold stock."""
        return self._answer("return", command.reservation_id, api.ReservationState.RETURNED)

    async def get_stock(self, query: api.GetStock) -> tuple[api.StockLevel, ...]:
        """Return plenty of stock."""
        return tuple(api.StockLevel(sku, 1_000, 0, self._price_of(sku)) for sku in query.skus)

    async def get_stock_hints(self, query: api.GetStockHints) -> tuple[api.StockHint, ...]:
        """Return hints without sales."""
        return tuple(api.StockHint(sku, 1_000, 0) for sku in query.skus)

    async def restock(self, command: api.Restock) -> tuple[api.StockLevel, ...]:
        """Accept the delivery and change nothing."""
        return await self.get_stock(api.GetStock(tuple(line.sku for line in command.lines)))

    def _answer(self, call: str, reservation_id: UUID, state: api.ReservationState) -> api.Reservation:
        self._note(call)
        return api.Reservation(reservation_id, state, (), NOW, None)

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if scripted := self.failures.get(call):
            raise scripted.pop(0)

    def _price_of(self, sku: str) -> Money:
        return self._price if isinstance(self._price, Money) else self._price(sku)
