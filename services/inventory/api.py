"""Public interface of inventory: commands, queries, views, errors, and the service protocol."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

from services.kernel.errors import ErrorKind, ServiceError
from services.kernel.fields import ALWAYS_DIGESTED, REQUEST_ID, check_range, check_skus, check_text
from services.kernel.money import Money

MAX_LINES = 1_500
MAX_HINTS = 100
MAX_QUANTITY = 10_000
MAX_DELIVERY = 1_000_000
MAX_UNIT_PRICE_MINOR = 10_000_000


class ReservationState(Enum):
    """State of a reservation; the state diagram is in the proto."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"
    RETURNED = "RETURNED"
    REJECTED = "REJECTED"
    VOIDED = "VOIDED"


@dataclass(frozen=True, slots=True)
class StockLine:
    """A requested `quantity` of one SKU, in units."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """Units that arrived.

    sku: the stock code.
    quantity: units; 0 changes the price alone.
    unit_price: needed for a new SKU; replaces the price of a known one.
    """

    sku: str
    quantity: int
    unit_price: Money | None = field(default=None, metadata=ALWAYS_DIGESTED)


@dataclass(frozen=True, slots=True)
class ReservedLine:
    """A line of a reservation.

    sku: the stock code.
    quantity: units.
    unit_price: None when the reservation never held stock.
    """

    sku: str
    quantity: int
    unit_price: Money | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """Stock set aside for, or sold to, one order; no `expire_time` when it never held stock."""

    reservation_id: UUID
    state: ReservationState
    lines: tuple[ReservedLine, ...]
    create_time: datetime
    expire_time: datetime | None


@dataclass(frozen=True, slots=True)
class StockLevel:
    """Stock of one SKU.

    on_hand: units in stock, reserved ones included.
    reserved: units of them that are set aside.
    unit_price: price of one unit.
    """

    sku: str
    on_hand: int
    reserved: int
    unit_price: Money

    @property
    def available(self) -> int:
        """Return the units that can be reserved."""
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True)
class StockHint:
    """Availability of a SKU for shoppers; may be some seconds old, and decides nothing.

    sku: the stock code.
    available: units that can be reserved.
    sold_last_hour: units sold in the hour before.
    """

    sku: str
    available: int
    sold_last_hour: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """A SKU of which less is available than requested; `requested` and `available` are units."""

    sku: str
    requested: int
    available: int


def check_lines(lines: tuple[StockLine, ...]) -> None:
    """Raise InvalidField unless the lines are 1 to 1,500, each SKU well formed and once, each quantity in bounds."""
    check_skus("lines", [line.sku for line in lines], most=MAX_LINES)
    for index, line in enumerate(lines):
        check_range(f"lines[{index}].quantity", line.quantity, low=1, high=MAX_QUANTITY, reason="INVALID_QUANTITY")


@dataclass(frozen=True, slots=True)
class CheckAvailability:
    """Find out whether these lines could be reserved now."""

    lines: tuple[StockLine, ...]

    def __post_init__(self) -> None:
        check_lines(self.lines)


@dataclass(frozen=True, slots=True)
class ReserveStock:
    """Set all lines aside, or none."""

    request_id: str
    reservation_id: UUID
    lines: tuple[StockLine, ...]

    def __post_init__(self) -> None:
        check_text("request_id", self.request_id, REQUEST_ID, reason="INVALID_REQUEST_ID")
        check_lines(self.lines)


@dataclass(frozen=True, slots=True)
class ReservationCommand:
    """Base of the commands on an existing reservation."""

    request_id: str
    reservation_id: UUID

    def __post_init__(self) -> None:
        check_text("request_id", self.request_id, REQUEST_ID, reason="INVALID_REQUEST_ID")


@dataclass(frozen=True, slots=True)
class ConfirmReservation(ReservationCommand):
    """Sell what the reservation holds."""


@dataclass(frozen=True, slots=True)
class ReleaseReservation(ReservationCommand):
    """Release what the reservation holds; before it exists, void it."""


@dataclass(frozen=True, slots=True)
class ReturnStock(ReservationCommand):
    """Return the goods of a confirmed reservation to the stock."""


@dataclass(frozen=True, slots=True)
class GetStock:
    """Read the levels of some SKUs."""

    skus: tuple[str, ...]

    def __post_init__(self) -> None:
        check_skus("skus", self.skus, most=MAX_LINES, member="")


@dataclass(frozen=True, slots=True)
class GetStockHints:
    """Read how many units of some SKUs are available, and how many were sold in the last hour."""

    skus: tuple[str, ...]

    def __post_init__(self) -> None:
        check_skus("skus", self.skus, most=MAX_HINTS, member="")


@dataclass(frozen=True, slots=True)
class Restock:
    """Add stock, and new SKUs."""

    request_id: str
    lines: tuple[Delivery, ...]

    def __post_init__(self) -> None:
        check_text("request_id", self.request_id, REQUEST_ID, reason="INVALID_REQUEST_ID")
        check_skus("lines", [line.sku for line in self.lines], most=MAX_LINES)
        for index, line in enumerate(self.lines):
            path = f"lines[{index}]"
            check_range(f"{path}.quantity", line.quantity, low=0, high=MAX_DELIVERY, reason="INVALID_QUANTITY")
            if line.unit_price:
                minor, most = line.unit_price.minor_units, MAX_UNIT_PRICE_MINOR
                check_range(f"{path}.unit_price", minor, low=0, high=most, reason="INVALID_UNIT_PRICE")


class InventoryError(ServiceError):
    """Base of inventory's own errors."""


@dataclass
class OutOfStock(InventoryError):
    """Some SKUs are short; nothing was reserved."""

    kind, reason = ErrorKind.PRECONDITION, "OUT_OF_STOCK"
    reservation_id: UUID
    shortages: tuple[Shortage, ...]


@dataclass
class SkuNotFound(InventoryError):
    """Some SKUs are not in the catalogue."""

    kind, reason = ErrorKind.NOT_FOUND, "SKU_NOT_FOUND"
    skus: tuple[str, ...]


@dataclass
class ReservationNotFound(InventoryError):
    """The reservation does not exist."""

    kind, reason = ErrorKind.NOT_FOUND, "RESERVATION_NOT_FOUND"
    reservation_id: UUID


@dataclass
class ReservationExpired(InventoryError):
    """The reservation expired before it was confirmed."""

    kind, reason = ErrorKind.PRECONDITION, "RESERVATION_EXPIRED"
    reservation_id: UUID


@dataclass
class ReservationVoided(InventoryError):
    """The reservation was released before it was made."""

    kind, reason = ErrorKind.PRECONDITION, "RESERVATION_VOIDED"
    reservation_id: UUID


@dataclass
class ReservationStateConflict(InventoryError):
    """The reservation is in a state that does not allow this."""

    kind, reason = ErrorKind.PRECONDITION, "RESERVATION_STATE_CONFLICT"
    reservation_id: UUID
    state: ReservationState


class InventoryService(Protocol):
    """Satisfied by the application and by the gRPC client. Any method may raise the kernel's errors, too."""

    def check(self) -> None:
        """Raise CircuitOpen when a call would be rejected now, since inventory is unavailable."""

    async def check_availability(self, query: CheckAvailability, /) -> tuple[Shortage, ...]:
        """Return the lines that could not be reserved now. Raises SkuNotFound."""

    async def reserve_stock(self, command: ReserveStock, /) -> Reservation:
        """Reserve all or nothing; on a repeat return the reservation with its prices, even when it was released.

        Raises OutOfStock, SkuNotFound, ReservationExpired, ReservationVoided, ReservationStateConflict.
        """

    async def confirm_reservation(self, command: ConfirmReservation, /) -> Reservation:
        """Sell what the reservation holds.

        Raises ReservationNotFound, ReservationExpired, ReservationVoided, ReservationStateConflict.
        """

    async def release_reservation(self, command: ReleaseReservation, /) -> Reservation:
        """Release what the reservation holds, or void it. Raises ReservationStateConflict when it was confirmed."""

    async def return_stock(self, command: ReturnStock, /) -> Reservation:
        """Return sold goods to the stock. Raises ReservationNotFound, ReservationStateConflict."""

    async def get_stock(self, query: GetStock, /) -> tuple[StockLevel, ...]:
        """Return one level for each SKU, in order. Raises SkuNotFound."""

    async def get_stock_hints(self, query: GetStockHints, /) -> tuple[StockHint, ...]:
        """Return one hint for each SKU, in order; it may be some seconds old. Raises SkuNotFound."""

    async def restock(self, command: Restock, /) -> tuple[StockLevel, ...]:
        """Add stock; return the new levels. Raises SkuNotFound."""
