"""Ports of the use cases: protocols that PostgreSQL and the inventory client satisfy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.order.api import CancelOrder, ListOrders, OrderPage, PlaceOrder
from services.order.consistency_token import OrderVersion, TokenKeys
from services.order.domain.order import Change, Order


class Orders(Protocol):
    """All orders, as their events make them. Any method may raise the kernel's errors."""

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order with the command's request id; on a repeat return the first one, in its present state.

        Raises RequestIdReused, IdempotencyInProgress.
        """

    async def find(self, command: PlaceOrder) -> Order | None:
        """Return the order that the command's request id stored first, in its present state; None when it is new.

        Raises RequestIdReused.
        """

    async def claim(self, command: CancelOrder, requested: Change | None) -> Order:
        """Store the wish, if any, with the command's request id; return the order, on a repeat in its present state.

        Raises RequestIdReused, IdempotencyInProgress, and VersionConflict when the order has changed meanwhile.
        """

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order. Raises OrderNotFound."""

    async def save(self, change: Change) -> None:
        """Store the order's next event. Raises VersionConflict when another was stored first."""


@dataclass(frozen=True, slots=True)
class Saga:
    """An order that is not at rest, in the hands of one driver until its lease ends.

    `epoch` grows with each claim; `traceparent` is of the span that stored the order's last event.
    """

    order_id: UUID
    customer_id: UUID
    epoch: int
    attempts: int
    traceparent: str


class Sagas(Protocol):
    """The orders that are not at rest. Any method may raise the kernel's errors."""

    async def claim(self, limit: int) -> Sequence[Saga]:
        """Take up to `limit` that are due, the longest due first; skip what others are taking."""

    async def postpone(self, saga: Saga, delay_seconds: float) -> None:
        """Let it be due again after a delay, unless another driver has claimed it meanwhile."""

    async def park(self, saga: Saga, *, reason: str) -> bool:
        """Let it be due no more; False when another driver has claimed it meanwhile."""


class Summaries(Protocol):
    """The customers' lists of orders, which follow the orders' events. Any method may raise the kernel's errors."""

    async def wait_for(self, seen: OrderVersion) -> None:
        """Return when the customer's list holds the order at that version or a later one. Raises ReadModelBehind."""

    async def page(self, query: ListOrders) -> OrderPage:
        """Return a page of the customer's orders, newest first. Raises InvalidField for a bad page token."""


class Tokens(Protocol):
    """What consistency tokens are signed with. It may raise the kernel's errors."""

    async def keys(self) -> TokenKeys:
        """Return the keys that are good now."""


class CheckInventory(Protocol):
    """Tells of an inventory that is known to be away; of one that was not asked lately it knows nothing."""

    def __call__(self) -> None:
        """Raise CircuitOpen when a call would not be made now."""
