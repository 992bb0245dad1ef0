"""Orders that are confirmed at once; satisfies `services.order.api.OrderService`."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from services.kernel.money import Money
from services.order import api

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = Money("GBP", 250)


class FakeOrderService:
    """Order service that confirms every order and records the commands in `commands`."""

    def __init__(self) -> None:
        self.commands: list[api.PlaceOrder | api.CancelOrder] = []
        self._orders: dict[UUID, api.Order] = {}

    async def place_order(self, command: api.PlaceOrder) -> api.Order:
        """Confirm the order."""
        self.commands.append(command)
        order = api.Order(
            order_id=uuid4(),
            customer_id=command.customer_id,
            state=api.OrderState.CONFIRMED,
            cancellation_requested=False,
            lines=tuple(api.PricedLine(line.sku, line.quantity, PRICE) for line in command.lines),
            total=PRICE,
            rejection=None,
            create_time=NOW,
            update_time=NOW,
            version=2,
            consistency_token="token",
        )
        self._orders[order.order_id] = order
        return order

    async def get_order(self, query: api.GetOrder) -> api.Order:
        """Return the order."""
        if query.order_id not in self._orders:
            raise api.OrderNotFound(query.order_id)
        return self._orders[query.order_id]

    async def cancel_order(self, command: api.CancelOrder) -> api.Order:
        """Return the order as it is."""
        self.commands.append(command)
        return await self.get_order(api.GetOrder(command.customer_id, command.order_id))

    async def list_orders(self, _query: api.ListOrders) -> api.OrderPage:
        """Return an empty page."""
        return api.OrderPage(orders=(), next_page_token="")
