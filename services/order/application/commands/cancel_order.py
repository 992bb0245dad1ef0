"""Cancel an order: store the cancellation request, then release or return its stock."""

from services.kernel.clock import Clock
from services.order import api
from services.order.api import CancelOrder, VersionConflict
from services.order.application.ports import Orders, Tokens
from services.order.application.settle_order import SettleOrder
from services.order.application.views import view
from services.order.domain.order import Order

# An order changes at most twice before its cancellation is requested.
ATTEMPTS = 3


class CancelOrderHandler:
    """Stores the request before any stock moves, so that the saga worker can finish it after a crash.

    Inventory decides between a cancellation and a sale at the same time: a reservation leaves PENDING once.
    """

    def __init__(self, *, orders: Orders, tokens: Tokens, settle: SettleOrder, clock: Clock) -> None:
        self._orders = orders
        self._tokens = tokens
        self._settle = settle
        self._clock = clock

    async def __call__(self, command: CancelOrder) -> api.Order:
        """Return the order CANCELLED, or with its cancellation requested when that is not done in time.

        Raises OrderNotFound, OrderNotCancellable, VersionConflict.
        """
        keys = await self._tokens.keys()
        order = await self._request(command)
        return view(await self._settle.in_time(order), keys)

    async def _request(self, command: CancelOrder) -> Order:
        for _ in range(ATTEMPTS):
            order = await self._orders.get(command.order_id, command.customer_id)
            try:
                return await self._orders.claim(command, order.request_cancellation(at=self._clock()))
            except VersionConflict:
                continue  # the order changed meanwhile, as by its sale: request the cancellation of its new version
        raise VersionConflict(command.order_id)
