"""Read a page of a customer's orders."""

from services.order.api import ListOrders, OrderPage
from services.order.application.ports import Orders


class ListOrdersHandler:
    """Reads the customer's own orders, newest first."""

    def __init__(self, *, orders: Orders) -> None:
        self._orders = orders

    async def __call__(self, query: ListOrders) -> OrderPage:
        """Return the page. Raises InvalidField for a page token of another list."""
        return await self._orders.page(query)
