"""Place an order: keep it, then bring it to its end while the customer waits."""

from services.kernel.clock import Clock, NewId
from services.kernel.errors import CircuitOpen
from services.order import api
from services.order.api import OrderRejected, OutOfStock, PlaceOrder, SkuNotFound
from services.order.application.ports import CheckInventory, Orders, Tokens
from services.order.application.settle_order import SettleOrder
from services.order.application.views import view
from services.order.domain.order import Order


class PlaceOrderHandler:
    """An order is PENDING before any stock is touched; whoever finds it so can settle it."""

    def __init__(
        self,
        *,
        orders: Orders,
        tokens: Tokens,
        settle: SettleOrder,
        check_inventory: CheckInventory,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._orders = orders
        self._tokens = tokens
        self._settle = settle
        self._check_inventory = check_inventory
        self._clock = clock
        self._new_id = new_id

    async def __call__(self, command: PlaceOrder) -> api.Order:
        """Return the order CONFIRMED, or PENDING when its end is not known in time.

        Raises CircuitOpen for a new order that would have to wait for inventory, unless its customer is willing to
        wait: nothing is kept of it then.
        """
        keys = await self._tokens.keys()
        order = await self._settle.in_time(await self._keep(command))
        refuse_rejected(order)
        return view(order, keys)

    async def _keep(self, command: PlaceOrder) -> Order:
        if not command.respond_async:
            try:
                self._check_inventory()
            except CircuitOpen:
                # Only now, since it takes a statement: what was kept before is not denied.
                if kept := await self._orders.find(command):
                    return kept
                raise
        placed = Order.place(
            order_id=self._new_id(), customer_id=command.customer_id, lines=command.lines, at=self._clock()
        )
        return await self._orders.add(placed, command)


def refuse_rejected(order: Order) -> None:
    """Raise what an order was rejected for, the same on every repeat."""
    if order.rejection is None:
        return
    match order.rejection.reason:
        case "OUT_OF_STOCK":
            raise OutOfStock(order.order_id, order.rejection.shortages)
        case "SKU_NOT_FOUND":
            raise SkuNotFound(order.order_id, order.rejection.skus)
        case reason:
            raise OrderRejected(order.order_id, reason)
