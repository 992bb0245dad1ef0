"""An order and its state machine: PENDING, then CONFIRMED, REJECTED or CANCELLED; a sale may still be cancelled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import add
from typing import assert_never
from uuid import UUID

from services.kernel.money import Money
from services.order.api import OrderLine, OrderNotCancellable, OrderState, PricedLine, Rejection
from services.order.domain.events import (
    CancellationRequested,
    Cancelled,
    Completed,
    Event,
    Placed,
    RecordedEvent,
    Rejected,
)

MAX_TOTAL_MINOR = 100_000_000


class CannotSell(Exception):
    """The reserved lines cannot be sold as one order; `rejection` says why."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.reason)
        self.rejection = rejection


@dataclass(frozen=True, slots=True)
class Order:
    """One customer's order, the fold of its events; `version` is their number."""

    order_id: UUID
    customer_id: UUID
    state: OrderState
    cancellation_requested: bool
    lines: tuple[PricedLine, ...]
    total: Money | None
    rejection: Rejection | None
    create_time: datetime
    update_time: datetime
    version: int

    @classmethod
    def place(cls, *, order_id: UUID, customer_id: UUID, lines: tuple[OrderLine, ...], at: datetime) -> "Change":
        """Make a new order, PENDING and without prices."""
        placed = Placed(customer_id, lines)
        return Change(begin(order_id, placed, at=at), placed)

    @property
    def is_at_rest(self) -> bool:
        """True when nothing is left to do: it is settled, and a requested cancellation is done."""
        if self.cancellation_requested:
            return self.state is OrderState.CANCELLED
        return self.state is not OrderState.PENDING

    def complete(self, unit_prices: Mapping[str, Money], *, at: datetime) -> "Change":
        """Sell the order at inventory's prices. Raises CannotSell for mixed currencies or too large a total."""
        if len({price.currency_code for price in unit_prices.values()}) > 1:
            raise CannotSell(Rejection("CURRENCY_MISMATCH"))
        total = reduce(add, (unit_prices[line.sku] * line.quantity for line in self.lines))
        if total.minor_units > MAX_TOTAL_MINOR:
            raise CannotSell(Rejection("ORDER_TOTAL_EXCEEDED"))
        return self._change(Completed(tuple(unit_prices[line.sku] for line in self.lines), total), at)

    def reject(self, rejection: Rejection, *, at: datetime) -> "Change":
        """Reject the order."""
        return self._change(Rejected(rejection), at)

    def request_cancellation(self, *, at: datetime) -> "Change | None":
        """Request the cancellation; None when it is requested or done. Raises OrderNotCancellable when REJECTED."""
        if self.state is OrderState.REJECTED:
            raise OrderNotCancellable(self.order_id)
        if self.cancellation_requested or self.state is OrderState.CANCELLED:
            return None
        return self._change(CancellationRequested(), at)

    def cancel(self, *, at: datetime) -> "Change":
        """Cancel the order; it must hold no stock any more."""
        return self._change(Cancelled(), at)

    def after(self, event: Event, *, at: datetime) -> "Order":
        """Return the order after one more event."""
        order = replace(self, update_time=at, version=self.version + 1)
        match event:
            case Completed():
                prices = zip(self.lines, event.unit_prices, strict=True)
                lines = tuple(replace(line, unit_price=price) for line, price in prices)
                return replace(order, state=OrderState.CONFIRMED, lines=lines, total=event.total)
            case Rejected():
                return replace(order, state=OrderState.REJECTED, rejection=event.rejection)
            case CancellationRequested():
                return replace(order, cancellation_requested=True)
            case Cancelled():
                return replace(order, state=OrderState.CANCELLED)
            case Placed():
                raise ValueError("an order is placed once")
        assert_never(event)

    def _change(self, event: Event, at: datetime) -> "Change":
        return Change(self.after(event, at=at), event)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an order: the event, and the order after it."""

    order: Order
    event: Event


def begin(order_id: UUID, placed: Placed, *, at: datetime) -> Order:
    """Return the order after its first event."""
    lines = tuple(PricedLine(line.sku, line.quantity, None) for line in placed.lines)
    return Order(
        order_id=order_id,
        customer_id=placed.customer_id,
        state=OrderState.PENDING,
        cancellation_requested=False,
        lines=lines,
        total=None,
        rejection=None,
        create_time=at,
        update_time=at,
        version=1,
    )


def fold(order_id: UUID, history: Sequence[RecordedEvent]) -> Order:
    """Return the order after all its events. Raises ValueError unless they begin with Placed and have no gap."""
    first = history[0].event
    if not isinstance(first, Placed) or [step.version for step in history] != list(range(1, len(history) + 1)):
        raise ValueError(f"the events of order {order_id} are incomplete")
    order = begin(order_id, first, at=history[0].occur_time)
    for step in history[1:]:
        order = order.after(step.event, at=step.occur_time)
    return order
