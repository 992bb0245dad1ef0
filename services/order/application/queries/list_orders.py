"""Read a page of a customer's orders."""

from services.order.api import ListOrders, OrderPage
from services.order.application.ports import Summaries, Tokens


class ListOrdersHandler:
    """Reads the customer's own orders, newest first, from the read model, which is updated a moment later."""

    def __init__(self, *, summaries: Summaries, tokens: Tokens) -> None:
        self._summaries = summaries
        self._tokens = tokens

    async def __call__(self, query: ListOrders) -> OrderPage:
        """Return the page. Raises InvalidField for the token of another list, and ReadModelBehind."""
        if not query.consistency_token:
            return await self._summaries.page(query)
        keys = await self._tokens.keys()
        return await self._summaries.page_since(query, keys.verify(query.consistency_token, query.customer_id))
