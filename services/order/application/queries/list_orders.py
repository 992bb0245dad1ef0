"""Read a page of a customer's orders."""

from services.order.api import ListOrders, OrderPage
from services.order.application.ports import Summaries
from services.order.consistency_token import decode_consistency_token


class ListOrdersHandler:
    """Reads the customer's own orders, newest first, from a list that follows the orders a moment later."""

    def __init__(self, *, summaries: Summaries) -> None:
        self._summaries = summaries

    async def __call__(self, query: ListOrders) -> OrderPage:
        """Return the page. Raises InvalidField for a token of another list, and ReadModelBehind."""
        if query.consistency_token:
            await self._summaries.wait_for(decode_consistency_token(query.consistency_token, query.customer_id))
        return await self._summaries.page(query)
