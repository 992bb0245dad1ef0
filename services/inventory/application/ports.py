"""What do the use cases need from the world outside? Protocols; PostgreSQL satisfies them, and fakes in tests."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.inventory.api import Delivery, Reservation, Shortage, StockHint, StockLevel
from services.inventory.domain.reservation import Decision, Step
from services.kernel.money import Money


@dataclass(frozen=True, slots=True)
class LockedReservation:
    """A reservation nobody else can change until the transaction ends; `now` is the database's clock."""

    reservation: Reservation
    unknown_skus: tuple[str, ...]
    shortages: tuple[Shortage, ...]
    now: datetime


class StockTransaction(Protocol):
    """One transaction on the stock: all of it happens, or nothing."""

    async def claim(self, command: object, request_id: str) -> bool:
        """Take the request id; False when the command came before. Raises RequestIdReused, IdempotencyInProgress."""

    async def lock_levels(self, skus: tuple[str, ...]) -> Mapping[str, StockLevel]:
        """Lock the items in order of SKU; unknown ones are left out."""

    async def lock_reservation(self, reservation_id: UUID) -> LockedReservation | None:
        """Lock a reservation; None when there is none."""

    async def lock_due(self, reservation_id: UUID) -> Reservation | None:
        """Lock a PENDING reservation that has expired; None when it is not so any more, or another holds it."""

    async def add(self, decision: Decision) -> Reservation:
        """Store a new reservation and set its lines aside. Raises ReservationVoided, RequestIdReused."""

    async def void(self, reservation_id: UUID) -> Reservation | None:
        """Store a tombstone, so that a late ReserveStock finds it; None when a reservation was made meanwhile."""

    async def take(self, reservation: Reservation, step: Step) -> Reservation:
        """Change the state of a locked reservation and move its lines; return it as it is then."""

    async def deliver(self, deliveries: tuple[Delivery, ...], prices: Mapping[str, Money], cause: str) -> None:
        """Add units, and items that are new; `prices` has one for every delivery."""


class Stock(Protocol):
    """The stock: read at once, changed in transactions."""

    def transaction(self, name: str) -> AbstractAsyncContextManager[StockTransaction]:
        """Run a block in one transaction, named by its use case; an error in it undoes it."""

    async def read_levels(self, skus: tuple[str, ...]) -> Mapping[str, StockLevel]:
        """Return the levels as of now; unknown SKUs are left out."""


class Hints(Protocol):
    """What may be some seconds old, and is had so much cheaper."""

    async def get(self, skus: Sequence[str], /) -> Mapping[str, StockHint]:
        """Return hints; unknown SKUs are left out."""
