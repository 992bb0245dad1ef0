"""Ports of the use cases: protocols that PostgreSQL and the cache satisfy, and fakes in tests."""

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
    """A reservation that is locked until the transaction ends.

    reservation: its present state.
    unknown_skus: the SKUs for which it was rejected as unknown.
    shortages: the short SKUs for which it was rejected.
    now: time of the database's clock.
    """

    reservation: Reservation
    unknown_skus: tuple[str, ...]
    shortages: tuple[Shortage, ...]
    now: datetime


class StockTransaction(Protocol):
    """One transaction on the stock."""

    async def claim(self, command: object, request_id: str) -> bool:
        """Claim the request id; return False on a repeat. Raises RequestIdReused, IdempotencyInProgress."""

    async def lock_levels(self, skus: tuple[str, ...]) -> Mapping[str, StockLevel]:
        """Lock the items in order of SKU; return their levels without unknown SKUs."""

    async def lock_reservation(self, reservation_id: UUID) -> LockedReservation | None:
        """Lock a reservation; return None when it does not exist."""

    async def lock_due(self, reservation_id: UUID) -> Reservation | None:
        """Lock a PENDING reservation that has expired; None if it is no longer so, or another transaction holds it."""

    async def add(self, decision: Decision) -> Reservation:
        """Store a reservation, and set aside its lines when PENDING. Raises ReservationVoided, RequestIdReused."""

    async def void(self, reservation_id: UUID) -> Reservation | None:
        """Store a tombstone that makes a late ReserveStock fail; return None when the reservation exists already."""

    async def take(self, reservation: Reservation, step: Step) -> Reservation:
        """Change the state of a locked reservation and move its stock; return the reservation after the step."""

    async def deliver(self, deliveries: tuple[Delivery, ...], prices: Mapping[str, Money], cause: str) -> None:
        """Add units, and items for new SKUs; `prices` has a price for every delivery."""


class Stock(Protocol):
    """The stock: single reads, and transactions that change it."""

    def transaction(self, name: str) -> AbstractAsyncContextManager[StockTransaction]:
        """Run a with block in one transaction, named by its use case; an error rolls it back."""

    async def read_levels(self, skus: tuple[str, ...]) -> Mapping[str, StockLevel]:
        """Return the present levels without unknown SKUs."""


class Hints(Protocol):
    """Hints from a cache: cheaper than reading the stock, and some seconds old."""

    async def get(self, skus: Sequence[str], /) -> Mapping[str, StockHint]:
        """Return the hints without unknown SKUs."""
