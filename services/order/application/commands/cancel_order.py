"""Cancel an order: give its stock back, then keep that it is cancelled."""

from functools import partial

from services.inventory import api as inventory
from services.kernel.clock import Clock
from services.order import api
from services.order.api import CancelOrder, OrderState, VersionConflict
from services.order.application.ports import Orders, UntilKnown
from services.order.application.settle_order import release
from services.order.application.views import view
from services.order.domain.order import Order


class CancelOrderHandler:
    """Inventory decides between a cancellation and a sale that is under way: a reservation leaves PENDING once."""

    def __init__(
        self, *, orders: Orders, inventory: inventory.InventoryService, until_known: UntilKnown, clock: Clock
    ) -> None:
        self._orders = orders
        self._inventory = inventory
        self._until_known = until_known
        self._clock = clock

    async def __call__(self, command: CancelOrder) -> api.Order:
        """Return the order CANCELLED. Raises OrderNotFound, OrderNotCancellable, VersionConflict."""
        order = await self._orders.get(command.order_id, command.customer_id)
        await self._orders.claim(command)
        if order.state is OrderState.CANCELLED:
            return view(order)
        order.check_cancellable()
        await self._give_back(order)
        return view(await self._keep(order))

    async def _give_back(self, order: Order) -> None:
        if order.state is OrderState.PENDING:
            try:
                await self._until_known(partial(self._inventory.release_reservation, release(order)))
            except inventory.ReservationStateConflict:
                pass  # it was sold meanwhile, so it is brought back below
            else:
                return
        bring_back = inventory.ReturnStock(f"{order.order_id}:return", order.order_id)
        await self._until_known(partial(self._inventory.return_stock, bring_back))

    async def _keep(self, order: Order) -> Order:
        cancelled = order.cancel(at=self._clock())
        try:
            await self._orders.save(cancelled)
        except VersionConflict:
            first = await self._orders.get(order.order_id, order.customer_id)
            if first.state is OrderState.CANCELLED:
                return first
            if first.state is order.state:
                raise
            # It was settled meanwhile; its stock is back all the same, so it is cancelled from where it is now.
            cancelled = first.cancel(at=self._clock())
            await self._orders.save(cancelled)
        return cancelled
