"""Cancel an order: keep that its customer wants it ended, then give its stock back."""

from services.kernel.clock import Clock
from services.order import api
from services.order.api import CancelOrder, VersionConflict
from services.order.application.ports import Orders, Tokens
from services.order.application.settle_order import SettleOrder
from services.order.application.views import view
from services.order.domain.order import Order

# An order changes at most twice before a cancellation is asked for.
ATTEMPTS = 3


class CancelOrderHandler:
    """The wish is stored before any stock moves, so whoever finds it can carry it out.

    Inventory decides between a cancellation and a sale that is under way: a reservation leaves PENDING once.
    """

    def __init__(self, *, orders: Orders, tokens: Tokens, settle: SettleOrder, clock: Clock) -> None:
        self._orders = orders
        self._tokens = tokens
        self._settle = settle
        self._clock = clock

    async def __call__(self, command: CancelOrder) -> api.Order:
        """Return the order CANCELLED, or with its wish kept when its end is not known in time.

        Raises OrderNotFound, OrderNotCancellable, VersionConflict.
        """
        keys = await self._tokens.keys()
        return view(await self._settle.in_time(await self._request(command)), keys)

    async def _request(self, command: CancelOrder) -> Order:
        for _ in range(ATTEMPTS):
            order = await self._orders.get(command.order_id, command.customer_id)
            try:
                return await self._orders.claim(command, order.request_cancellation(at=self._clock()))
            except VersionConflict:
                continue  # its sale was stored meanwhile, which changes what there is to cancel
        raise VersionConflict(command.order_id)
