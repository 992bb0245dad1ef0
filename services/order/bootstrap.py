"""The composition root of orders: the only place that knows its concrete adapters."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from uuid import UUID, uuid4

from observability.telemetry.telemetry import Telemetry
from observability.telemetry.use_case import use_case
from services.infra.postgres import Database
from services.infra.retry import until_known
from services.inventory.api import InventoryService
from services.kernel.clock import Clock, utc_now
from services.kernel.errors import Internal
from services.order.adapters.postgres import PostgresOrders
from services.order.application.commands.cancel_order import CancelOrderHandler
from services.order.application.commands.place_order import PlaceOrderHandler
from services.order.application.orders import OrderApplication
from services.order.application.queries.get_order import GetOrderHandler
from services.order.application.queries.list_orders import ListOrdersHandler
from services.order.application.settle_order import SettleOrder

Command = TypeVar("Command")
Result = TypeVar("Result")


def bootstrap_order(
    *,
    database: Database,
    inventory: InventoryService,
    telemetry: Telemetry,
    clock: Clock = utc_now,
    new_id: Callable[[], UUID] = uuid4,
) -> OrderApplication:
    """Return orders on a database, with an inventory in this process or another; every use case is observed."""
    orders = PostgresOrders(database=database)
    settle = SettleOrder(orders=orders, inventory=inventory, until_known=until_known, clock=clock)
    place = PlaceOrderHandler(orders=orders, settle=settle, clock=clock, new_id=new_id)
    cancel = CancelOrderHandler(orders=orders, inventory=inventory, until_known=until_known, clock=clock)

    def observed(
        name: str, handler: Callable[[Command], Awaitable[Result]]
    ) -> Callable[[Command], Coroutine[Any, Any, Result]]:
        return use_case(telemetry, name, handler, unexpected=Internal, identity=("shop.order.id", "order_id"))

    return OrderApplication(
        place_order=observed("place_order", place),
        get_order=observed("get_order", GetOrderHandler(orders=orders)),
        cancel_order=observed("cancel_order", cancel),
        list_orders=observed("list_orders", ListOrdersHandler(orders=orders)),
    )
