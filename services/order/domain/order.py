"""What is an order, and what may happen to it? PENDING, then one end; only a sale may still be cancelled."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import add
from uuid import UUID

from services.kernel.money import Money
from services.order.api import OrderLine, OrderNotCancellable, OrderState, PricedLine, Rejection

MAX_TOTAL_MINOR = 100_000_000


class CannotSell(Exception):
    """The reserved lines cannot be sold as one order; `rejection` says why."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.reason)
        self.rejection = rejection


@dataclass(frozen=True, slots=True)
class Order:
    """One customer's order. Every change returns a new value with the next version."""

    order_id: UUID
    customer_id: UUID
    state: OrderState
    lines: tuple[PricedLine, ...]
    total: Money | None
    rejection: Rejection | None
    create_time: datetime
    update_time: datetime
    version: int

    @classmethod
    def place(cls, *, order_id: UUID, customer_id: UUID, lines: tuple[OrderLine, ...], at: datetime) -> "Order":
        """Return a new order, PENDING and without prices."""
        unpriced = tuple(PricedLine(line.sku, line.quantity, None) for line in lines)
        return cls(order_id, customer_id, OrderState.PENDING, unpriced, None, None, at, at, version=1)

    def price(self, unit_prices: dict[str, Money]) -> "Order":
        """Return the order with inventory's prices and its total. Raises CannotSell when they make no sale."""
        lines = tuple(replace(line, unit_price=unit_prices[line.sku]) for line in self.lines)
        if len({price.currency_code for price in unit_prices.values()}) > 1:
            raise CannotSell(Rejection("CURRENCY_MISMATCH"))
        total = reduce(add, (unit_prices[line.sku] * line.quantity for line in self.lines))
        if total.minor_units > MAX_TOTAL_MINOR:
            raise CannotSell(Rejection("ORDER_TOTAL_EXCEEDED"))
        return replace(self, lines=lines, total=total)

    def confirm(self, *, at: datetime) -> "Order":
        """Return the order as sold."""
        return self._enter(OrderState.CONFIRMED, at)

    def reject(self, rejection: Rejection, *, at: datetime) -> "Order":
        """Return the order as refused."""
        return replace(self._enter(OrderState.REJECTED, at), rejection=rejection)

    def cancel(self, *, at: datetime) -> "Order":
        """Return the order as cancelled. Raises OrderNotCancellable for one that was rejected."""
        self.check_cancellable()
        return self._enter(OrderState.CANCELLED, at)

    def check_cancellable(self) -> None:
        """Raise OrderNotCancellable for an order that was rejected."""
        if self.state is OrderState.REJECTED:
            raise OrderNotCancellable(self.order_id)

    def _enter(self, state: OrderState, at: datetime) -> "Order":
        return replace(self, state=state, update_time=at, version=self.version + 1)
