"""What do the use cases need from outside? Protocols; PostgreSQL and retry satisfy them, and fakes in tests."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar
from uuid import UUID

from services.order.api import CancelOrder, ListOrders, OrderPage, PlaceOrder
from services.order.domain.order import Order

Result = TypeVar("Result")


class Orders(Protocol):
    """All orders. Any method may raise the kernel's errors."""

    async def add(self, order: Order, command: PlaceOrder) -> Order:
        """Store the order with the command's request id; on a repeat return the first one, in its present state.

        Raises RequestIdReused, IdempotencyInProgress.
        """

    async def claim(self, command: CancelOrder) -> None:
        """Take the command's request id, once or again. Raises RequestIdReused, IdempotencyInProgress."""

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order. Raises OrderNotFound."""

    async def save(self, order: Order) -> None:
        """Store the order's next version. Raises VersionConflict when another was stored first."""

    async def page(self, query: ListOrders) -> OrderPage:
        """Return a page of the customer's orders, newest first. Raises InvalidField for a bad page token."""


class UntilKnown(Protocol):
    """Repeats an idempotent call while nobody knows whether it took effect, as long as there is time."""

    async def __call__(self, call: Callable[[], Awaitable[Result]], /) -> Result:
        """Return the result or raise the business error; raise the last unknown outcome when time is up."""
