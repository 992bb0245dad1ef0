"""The application object: eight use cases that together satisfy `api.InventoryService`."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from services.inventory import api

Command = TypeVar("Command")
Result = TypeVar("Result")
UseCase: TypeAlias = Callable[[Command], Coroutine[Any, Any, Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryApplication:
    """Inventory in this process; the gRPC client offers the same methods from another process."""

    check_availability: UseCase[api.CheckAvailability, tuple[api.Shortage, ...]]
    reserve_stock: UseCase[api.ReserveStock, api.Reservation]
    confirm_reservation: UseCase[api.ConfirmReservation, api.Reservation]
    release_reservation: UseCase[api.ReleaseReservation, api.Reservation]
    return_stock: UseCase[api.ReturnStock, api.Reservation]
    get_stock: UseCase[api.GetStock, tuple[api.StockLevel, ...]]
    get_stock_hints: UseCase[api.GetStockHints, tuple[api.StockHint, ...]]
    restock: UseCase[api.Restock, tuple[api.StockLevel, ...]]

    def check(self) -> None:
        """Return: inventory in the same process is always available."""
