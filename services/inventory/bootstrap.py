"""The composition root of inventory: the only place that knows its concrete adapters."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from observability.telemetry.telemetry import Telemetry
from observability.telemetry.use_case import use_case
from services.infra.postgres import Database
from services.inventory.adapters.postgres import PostgresStock
from services.inventory.application.commands.confirm_reservation import ConfirmReservationHandler
from services.inventory.application.commands.release_reservation import ReleaseReservationHandler
from services.inventory.application.commands.reserve_stock import ReserveStockHandler
from services.inventory.application.commands.restock import RestockHandler
from services.inventory.application.commands.return_stock import ReturnStockHandler
from services.inventory.application.inventory import InventoryApplication
from services.inventory.application.queries.check_availability import CheckAvailabilityHandler
from services.inventory.application.queries.get_stock import GetStockHandler
from services.kernel.errors import Internal

Command = TypeVar("Command")
Result = TypeVar("Result")


def bootstrap_inventory(
    *, database: Database, telemetry: Telemetry, reservation_ttl_seconds: float
) -> InventoryApplication:
    """Return inventory on a database; every use case is observed."""
    stock = PostgresStock(database=database, reservation_ttl_seconds=reservation_ttl_seconds)

    def observed(
        name: str, handler: Callable[[Command], Awaitable[Result]]
    ) -> Callable[[Command], Coroutine[Any, Any, Result]]:
        identity = ("shop.reservation.id", "reservation_id")
        return use_case(telemetry, name, handler, unexpected=Internal, identity=identity)

    return InventoryApplication(
        check_availability=observed("check_availability", CheckAvailabilityHandler(stock=stock)),
        reserve_stock=observed("reserve_stock", ReserveStockHandler(stock=stock)),
        confirm_reservation=observed("confirm_reservation", ConfirmReservationHandler(stock=stock)),
        release_reservation=observed("release_reservation", ReleaseReservationHandler(stock=stock)),
        return_stock=observed("return_stock", ReturnStockHandler(stock=stock)),
        get_stock=observed("get_stock", GetStockHandler(stock=stock)),
        restock=observed("restock", RestockHandler(stock=stock)),
    )
