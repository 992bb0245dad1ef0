"""Read one order."""

from services.order import api
from services.order.api import GetOrder
from services.order.application.ports import Orders, Tokens
from services.order.application.views import view


class GetOrderHandler:
    """Reads the customer's own order."""

    def __init__(self, *, orders: Orders, tokens: Tokens) -> None:
        self._orders = orders
        self._tokens = tokens

    async def __call__(self, query: GetOrder) -> api.Order:
        """Return the order. Raises OrderNotFound, also for another customer's order."""
        keys = await self._tokens.keys()
        return view(await self._orders.get(query.order_id, query.customer_id), keys)
