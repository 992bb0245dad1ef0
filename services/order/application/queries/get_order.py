"""Read one order."""

from services.order import api
from services.order.api import GetOrder
from services.order.application.ports import Orders
from services.order.application.views import view


class GetOrderHandler:
    """Reads the customer's own order."""

    def __init__(self, *, orders: Orders) -> None:
        self._orders = orders

    async def __call__(self, query: GetOrder) -> api.Order:
        """Return the order. Raises OrderNotFound, also for another customer's."""
        return view(await self._orders.get(query.order_id, query.customer_id))
