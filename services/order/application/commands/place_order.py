"""Place an order: store it, then sell its goods while the customer waits."""

from services.kernel.clock import Clock
from services.kernel.errors import CircuitOpen
from services.order import api
from services.order.api import PlaceOrder
from services.order.application.ports import CheckInventory, NewOrderId, Orders, Tokens
from services.order.application.settle_order import SettleOrder
from services.order.application.views import raise_rejection, view
from services.order.domain.order import Order


class PlaceOrderHandler:
    """Stores an order as PENDING before any stock is touched, so that the saga worker can finish it after a crash."""

    def __init__(
        self,
        *,
        orders: Orders,
        tokens: Tokens,
        settle: SettleOrder,
        check_inventory: CheckInventory,
        clock: Clock,
        new_id: NewOrderId,
    ) -> None:
        self._orders = orders
        self._tokens = tokens
        self._settle = settle
        self._check_inventory = check_inventory
        self._clock = clock
        self._new_id = new_id

    async def __call__(self, command: PlaceOrder) -> api.Order:
        """Return the order CONFIRMED, or PENDING when it is not settled in time.

        Raises OutOfStock, SkuNotFound and OrderRejected for an order that was rejected. Raises CircuitOpen, and stores
        nothing, for a new order while inventory is unavailable, unless its customer accepts a later answer.
        """
        keys = await self._tokens.keys()
        order = await self._accept(command)
        order = await self._settle.in_time(order)
        raise_rejection(order)
        return view(order, keys)

    async def _accept(self, command: PlaceOrder) -> Order:
        if command.respond_async:
            return await self._store(command)
        try:
            self._check_inventory()
        except CircuitOpen:
            # A repeat is answered even now. This look-up costs a statement, so a healthy shop does without it.
            if stored := await self._orders.find(command):
                return stored
            raise
        return await self._store(command)

    async def _store(self, command: PlaceOrder) -> Order:
        placed = Order.place(
            order_id=self._new_id(command.customer_id),
            customer_id=command.customer_id,
            lines=command.lines,
            at=self._clock(),
        )
        return await self._orders.add(placed, command)
