"""The application object: four use cases that together satisfy `api.OrderService`."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from services.order import api

Command = TypeVar("Command")
Result = TypeVar("Result")
UseCase: TypeAlias = Callable[[Command], Coroutine[Any, Any, Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderApplication:
    """Orders in this process; the gRPC client offers the same methods from another process."""

    place_order: UseCase[api.PlaceOrder, api.Order]
    get_order: UseCase[api.GetOrder, api.Order]
    cancel_order: UseCase[api.CancelOrder, api.Order]
    list_orders: UseCase[api.ListOrders, api.OrderPage]
