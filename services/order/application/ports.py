"""Ports of the use cases: protocols that PostgreSQL and the inventory client satisfy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from uuid import UUID

from services.order.api import CancelOrder, ListOrders, OrderPage, PlaceOrder
from services.order.consistency_token import OrderVersion, TokenKeys
from services.order.domain.order import Change, Order

# Returns the id of a new order of this customer.
NewOrderId: TypeAlias = Callable[[UUID], UUID]


class OrderReader(Protocol):
    """Reads of single orders, which may be older than those of `Orders`. It may raise the kernel's errors."""

    async def read(self, order_id: UUID, customer_id: UUID, *, version: int) -> Order:
        """Return the customer's order, not older than `version` unless the primary has it no newer.

        Raises OrderNotFound, ReadModelBehind.
        """


class Orders(OrderReader, Protocol):
    """All orders, each the fold of its events. Any method may raise the kernel's errors."""

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order with the command's request id; on a repeat return the first order, in its present state.

        Raises RequestIdReused, IdempotencyInProgress.
        """

    async def find(self, command: PlaceOrder) -> Order | None:
        """Return the order that the command's request id stored first, in its present state; None when it is new.

        Raises RequestIdReused.
        """

    async def claim(self, command: CancelOrder, requested: Change | None) -> Order:
        """Store the requested cancellation, if there is one, with the command's request id; return the present order.

        Raises RequestIdReused, IdempotencyInProgress, and VersionConflict when the order has changed meanwhile.
        """

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order. Raises OrderNotFound."""

    async def save(self, change: Change) -> None:
        """Store the order's next event. Raises VersionConflict when another was stored first."""


@dataclass(frozen=True, slots=True)
class Saga:
    """An order that is not at rest, claimed by one saga worker until the lease ends.

    epoch: number of claims so far; a worker with an older epoch has lost its lease.
    attempts: number of attempts to settle the order, this one included.
    traceparent: W3C context of the span that stored the order's last event.
    """

    order_id: UUID
    customer_id: UUID
    epoch: int
    attempts: int
    traceparent: str


class Summaries(Protocol):
    """The customers' lists of orders, built from the orders' events. Any method may raise the kernel's errors."""

    async def page(self, query: ListOrders) -> OrderPage:
        """Return a page of the customer's orders, newest first. Raises InvalidField for a bad page token."""

    async def page_since(self, query: ListOrders, seen: OrderVersion) -> OrderPage:
        """Return a page of a list that holds the order at that version or a later one. Raises ReadModelBehind, too."""


class Tokens(Protocol):
    """Keys that sign consistency tokens. It may raise the kernel's errors."""

    async def keys(self) -> TokenKeys:
        """Return the keys that are valid now."""


class CheckInventory(Protocol):
    """State of the circuit breaker in front of inventory: an outage shows only after calls have failed."""

    def __call__(self) -> None:
        """Raise CircuitOpen when the breaker would reject a call now."""
