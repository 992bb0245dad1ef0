"""Event types of an order, whose current state results from applying its events in sequence."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from services.kernel.money import Money
from services.order.api import OrderLine, Rejection


@dataclass(frozen=True, slots=True)
class Placed:
    """A customer placed the order."""

    customer_id: UUID
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True, slots=True)
class Completed:
    """The goods were sold; `unit_prices` has one price for each line, in the same order."""

    unit_prices: tuple[Money, ...]
    total: Money


@dataclass(frozen=True, slots=True)
class Rejected:
    """The order cannot be fulfilled."""

    rejection: Rejection


@dataclass(frozen=True, slots=True)
class CancellationRequested:
    """The customer requested the cancellation; from now on the order can only be cancelled."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The order was cancelled, and holds no stock."""


Event: TypeAlias = Placed | Completed | Rejected | CancellationRequested | Cancelled


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A stored event of an order; versions count from 1 without gaps."""

    version: int
    event: Event
    occur_time: datetime
