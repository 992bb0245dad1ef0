"""What can happen to an order? Facts in the past tense; an order is the fold of its own."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from services.kernel.money import Money
from services.order.api import OrderLine, Rejection


@dataclass(frozen=True, slots=True)
class Placed:
    """A customer asked for goods."""

    customer_id: UUID
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True, slots=True)
class Completed:
    """The goods were sold; one price a line, in order."""

    unit_prices: tuple[Money, ...]
    total: Money


@dataclass(frozen=True, slots=True)
class Rejected:
    """The order cannot be met."""

    rejection: Rejection


@dataclass(frozen=True, slots=True)
class CancellationRequested:
    """The customer wants it ended; from now on it can only be cancelled."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was ended, and holds no stock."""


Event: TypeAlias = Placed | Completed | Rejected | CancellationRequested | Cancelled


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event at its place in an order's history; versions count from 1 without gaps."""

    version: int
    event: Event
    occur_time: datetime
