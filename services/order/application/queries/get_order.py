"""Read one order."""

from services.kernel.errors import InvalidField
from services.order import api
from services.order.api import GetOrder, OrderNotFound, ReadModelBehind
from services.order.application.ports import OrderReader, Tokens
from services.order.application.views import view

RETRY_AFTER_SECONDS = 1.0


class GetOrderHandler:
    """Reads the customer's own order."""

    def __init__(self, *, orders: OrderReader, tokens: Tokens) -> None:
        self._orders = orders
        self._tokens = tokens

    async def __call__(self, query: GetOrder) -> api.Order:
        """Return the order. Raises OrderNotFound, also for another customer's order.

        With a token, raises InvalidField when it is another order's, and ReadModelBehind for an older version: the
        write that it came with is not there yet, or was lost when a standby became the primary.
        """
        keys = await self._tokens.keys()
        version = 0
        if query.consistency_token:
            seen = keys.verify(query.consistency_token, query.customer_id)
            if seen.order_id != query.order_id:
                raise InvalidField("consistency_token", "INVALID_CONSISTENCY_TOKEN", "is the token of another order")
            version = seen.version
        try:
            order = await self._orders.read(query.order_id, query.customer_id, version=version)
        except OrderNotFound as error:
            if version:
                raise ReadModelBehind(RETRY_AFTER_SECONDS) from error
            raise
        if order.version < version:
            raise ReadModelBehind(RETRY_AFTER_SECONDS)
        return view(order, keys)
