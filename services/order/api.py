"""Public interface of orders: commands, queries, views and errors, and the protocol that answers."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

from services.kernel.errors import ErrorKind, ServiceError, Unavailable
from services.kernel.fields import REQUEST_ID, check_range, check_skus, check_text
from services.kernel.money import Money

MAX_LINES = 1_500
MAX_QUANTITY = 10_000
MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20


class OrderState(Enum):
    """Where an order is in its life; the drawing is in the proto."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A wish for `quantity` units of one SKU."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A line of a stored order; no price until its stock was reserved."""

    sku: str
    quantity: int
    unit_price: Money | None


@dataclass(frozen=True, slots=True)
class Shortage:
    """A SKU of which less was available than ordered, in units."""

    sku: str
    requested: int
    available: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an order was rejected: all short SKUs for OUT_OF_STOCK, all unknown ones for SKU_NOT_FOUND."""

    reason: str
    shortages: tuple[Shortage, ...] = ()
    skus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One customer's order; no total until its stock was reserved, a rejection exactly when REJECTED.

    Its state becomes CANCELLED, and nothing else, once `cancellation_requested`.
    """

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
    # What to give to ListOrders, so that the list holds the order as it is here, or as it became later. The same order
    # may come with another one the next day.
    consistency_token: str = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class OrderSummary:
    """One row of a customer's list of orders."""

    order_id: UUID
    state: OrderState
    line_count: int
    total: Money | None
    create_time: datetime


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A page of orders, newest first; the token of the next page is empty on the last."""

    orders: tuple[OrderSummary, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """An order right after one of its events, as far as a list of orders is concerned."""

    order_id: UUID
    customer_id: UUID
    version: int
    state: OrderState
    line_count: int
    total: Money | None
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Sell these lines to this customer, who may be willing to be told later: `respond_async`.

    That is about the answer and no part of what is asked for: a repeat may say otherwise.
    """

    request_id: str
    customer_id: UUID
    lines: tuple[OrderLine, ...]
    respond_async: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        check_text("request_id", self.request_id, REQUEST_ID, reason="INVALID_REQUEST_ID")
        check_skus("lines", [line.sku for line in self.lines], most=MAX_LINES)
        for index, line in enumerate(self.lines):
            check_range(f"lines[{index}].quantity", line.quantity, low=1, high=MAX_QUANTITY, reason="INVALID_QUANTITY")


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """End this customer's order and give its stock back."""

    request_id: str
    customer_id: UUID
    order_id: UUID

    def __post_init__(self) -> None:
        check_text("request_id", self.request_id, REQUEST_ID, reason="INVALID_REQUEST_ID")


@dataclass(frozen=True, slots=True)
class GetOrder:
    """Read this customer's order."""

    customer_id: UUID
    order_id: UUID


@dataclass(frozen=True, slots=True)
class ListOrders:
    """Read a page of this customer's orders; with a consistency token, not before it holds what the token says."""

    customer_id: UUID
    page_size: int = DEFAULT_PAGE_SIZE
    page_token: str = ""
    consistency_token: str = ""

    def __post_init__(self) -> None:
        check_range("page_size", self.page_size, low=1, high=MAX_PAGE_SIZE, reason="INVALID_PAGE_SIZE")


class OrderError(ServiceError):
    """The base of the order context's own errors."""


@dataclass
class OrderNotFound(OrderError):
    """This customer has no such order."""

    kind, reason = ErrorKind.NOT_FOUND, "ORDER_NOT_FOUND"
    order_id: UUID


@dataclass
class OutOfStock(OrderError):
    """Some SKUs are short; the order was stored and rejected."""

    kind, reason = ErrorKind.PRECONDITION, "OUT_OF_STOCK"
    order_id: UUID
    shortages: tuple[Shortage, ...]


@dataclass
class SkuNotFound(OrderError):
    """Some SKUs are not in the catalogue; the order was stored and rejected."""

    kind, reason = ErrorKind.NOT_FOUND, "SKU_NOT_FOUND"
    order_id: UUID
    skus: tuple[str, ...]


@dataclass
class OrderRejected(OrderError):
    """The order was stored and rejected; `rejection_reason` says why."""

    kind, reason = ErrorKind.PRECONDITION, "ORDER_REJECTED"
    order_id: UUID
    rejection_reason: str


@dataclass
class OrderNotCancellable(OrderError):
    """The order was rejected, so there is nothing to cancel."""

    kind, reason = ErrorKind.PRECONDITION, "ORDER_NOT_CANCELLABLE"
    order_id: UUID


@dataclass
class VersionConflict(OrderError):
    """The order changed meanwhile."""

    kind, reason = ErrorKind.CONFLICT, "VERSION_CONFLICT"
    order_id: UUID


class ReadModelBehind(OrderError, Unavailable):
    """The list of orders does not hold your last change yet."""

    reason = "READ_MODEL_BEHIND"


@dataclass
class EventNotUnderstood(OrderError):
    """The event's payload is not what its type promises."""

    kind, reason = ErrorKind.INVALID, "EVENT_NOT_UNDERSTOOD"
    event_id: UUID


class OrderService(Protocol):
    """The application and the gRPC client both satisfy it. Any method may raise the kernel's errors too."""

    async def place_order(self, command: PlaceOrder, /) -> Order:
        """Return the order CONFIRMED, or PENDING when its end is not known in time; on a repeat as it is by now.

        Raises OutOfStock, SkuNotFound, OrderRejected, and CircuitOpen for a new order while inventory is away, without
        respond_async: nothing is kept then.
        """

    async def get_order(self, query: GetOrder, /) -> Order:
        """Return the order. Raises OrderNotFound, also for another customer's."""

    async def cancel_order(self, command: CancelOrder, /) -> Order:
        """Return the order CANCELLED, or as it is with `cancellation_requested` when that takes longer.

        Raises OrderNotFound, OrderNotCancellable, VersionConflict.
        """

    async def list_orders(self, query: ListOrders, /) -> OrderPage:
        """Return a page, newest first. Raises InvalidField for a token of another list, and ReadModelBehind."""
