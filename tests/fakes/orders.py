"""Orders in a dictionary, each the fold of its events; satisfies `Orders` and `OrderReader` of the ports."""

from collections import defaultdict
from uuid import UUID

from services.kernel.errors import RequestIdReused
from services.order.api import CancelOrder, OrderNotFound, PlaceOrder, VersionConflict
from services.order.domain.events import RecordedEvent
from services.order.domain.order import Change, Order, fold


class FakeOrders:
    """Repository with the events of each order, and the first use of each request id."""

    def __init__(self) -> None:
        self.histories: dict[UUID, list[RecordedEvent]] = defaultdict(list)
        self._commands: dict[tuple[UUID, str], tuple[PlaceOrder | CancelOrder, UUID]] = {}

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order, or return the one its request id stored first."""
        first_id = self._take(command, placed.order.order_id)
        if first_id == placed.order.order_id:
            self.append(placed)
        return await self.get(first_id, command.customer_id)

    async def find(self, command: PlaceOrder) -> Order | None:
        """Return the order its request id stored first."""
        if (command.customer_id, command.request_id) not in self._commands:
            return None
        return await self.get(self._take(command, command.customer_id), command.customer_id)

    async def claim(self, command: CancelOrder, requested: Change | None) -> Order:
        """Store the wish with its request id."""
        is_new = (command.customer_id, command.request_id) not in self._commands
        if is_new and requested:
            self.append(requested)
        self._take(command, command.order_id)
        return await self.get(command.order_id, command.customer_id)

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order."""
        if order_id not in self.histories or (order := self.fold(order_id)).customer_id != customer_id:
            raise OrderNotFound(order_id)
        return order

    async def read(self, order_id: UUID, customer_id: UUID, *, version: int) -> Order:
        """Return the customer's order."""
        assert version >= 0
        return await self.get(order_id, customer_id)

    async def save(self, change: Change) -> None:
        """Store the next event."""
        self.append(change)

    def append(self, change: Change) -> None:
        """Store an event, if it is the next of its order."""
        order, history = change.order, self.histories[change.order.order_id]
        if order.version != len(history) + 1:
            raise VersionConflict(order.order_id)
        history.append(RecordedEvent(order.version, change.event, order.update_time))

    def fold(self, order_id: UUID) -> Order:
        """Return the order that its events make."""
        return fold(order_id, self.histories[order_id])

    def _take(self, command: PlaceOrder | CancelOrder, resource_id: UUID) -> UUID:
        key = (command.customer_id, command.request_id)
        first, first_id = self._commands.setdefault(key, (command, resource_id))
        if first != command:
            raise RequestIdReused
        return first_id
