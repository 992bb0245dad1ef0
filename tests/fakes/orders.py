"""Orders in a dictionary; satisfies `services.order.application.ports.Orders`."""

from uuid import UUID

from services.kernel.errors import RequestIdReused
from services.order.api import CancelOrder, ListOrders, OrderNotFound, OrderPage, PlaceOrder, VersionConflict
from services.order.domain.order import Order


class FakeOrders:
    """Keeps the latest version of each order and what each request id was first used for."""

    def __init__(self) -> None:
        self.orders: dict[UUID, Order] = {}
        self._commands: dict[tuple[UUID, str], PlaceOrder | CancelOrder] = {}
        self._first: dict[tuple[UUID, str], UUID] = {}

    async def add(self, order: Order, command: PlaceOrder) -> Order:
        """Store the order, or return the one its request id stored first."""
        self._take(command)
        key = (command.customer_id, command.request_id)
        first_id = self._first.setdefault(key, order.order_id)
        return self.orders.setdefault(first_id, order)

    async def claim(self, command: CancelOrder) -> None:
        """Take the request id."""
        self._take(command)

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order."""
        order = self.orders.get(order_id)
        if order is None or order.customer_id != customer_id:
            raise OrderNotFound(order_id)
        return order

    async def save(self, order: Order) -> None:
        """Store the next version."""
        if self.orders[order.order_id].version != order.version - 1:
            raise VersionConflict(order.order_id)
        self.orders[order.order_id] = order

    async def page(self, query: ListOrders) -> OrderPage:
        """Not asked for by the tests that use this fake."""
        raise NotImplementedError

    def _take(self, command: PlaceOrder | CancelOrder) -> None:
        if self._commands.setdefault((command.customer_id, command.request_id), command) != command:
            raise RequestIdReused
