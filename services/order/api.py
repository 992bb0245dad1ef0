"""Public interface of orders: commands, queries, views, errors, and the service protocol."""

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
    """State of an order; the state diagram is in the proto."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A requested `quantity` of one SKU, in units."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A line of a stored order.

    sku: the stock code.
    quantity: units.
    unit_price: None until its stock is reserved.
    """

    sku: str
    quantity: int
    unit_price: Money | None


@dataclass(frozen=True, slots=True)
class Shortage:
    """A SKU of which less was available than ordered; `requested` and `available` are units."""

    sku: str
    requested: int
    available: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an order was rejected.

    reason: the reason of the error that the customer gets.
    shortages: all short SKUs, for OUT_OF_STOCK.
    skus: all unknown SKUs, for SKU_NOT_FOUND.
    """

    reason: str
    shortages: tuple[Shortage, ...] = ()
    skus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One customer's order.

    cancellation_requested: once true, the state is CANCELLED or becomes so.
    total: sum of quantity times unit price; None until its stock is reserved.
    rejection: set exactly when REJECTED.
    version: number of its events.
    consistency_token: for GetOrder and ListOrders, whose answer then has the order in this version or a later one. The
        same order may come with another token the next day.
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
    consistency_token: str = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class OrderSummary:
    """An entry of a customer's list of orders."""

    order_id: UUID
    state: OrderState
    line_count: int
    total: Money | None
    create_time: datetime


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A page of orders, newest first; `next_page_token` is empty on the last page."""

    orders: tuple[OrderSummary, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """An order right after one of its events, with what a list of orders shows."""

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
    """Sell these lines to this customer.

    request_id: idempotency key.
    respond_async: the customer accepts a PENDING order while inventory is unavailable. It is no part of the content
        that a repeat must have in common.
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
    """Cancel this customer's order and release or return its stock."""

    request_id: str
    customer_id: UUID
    order_id: UUID

    def __post_init__(self) -> None:
        check_text("request_id", self.request_id, REQUEST_ID, reason="INVALID_REQUEST_ID")


@dataclass(frozen=True, slots=True)
class GetOrder:
    """Read this customer's order.

    consistency_token: an earlier answer's; this answer has at least that version. Empty: with read replicas the latest
        change may be missing and, during a failover, the order itself.
    """

    customer_id: UUID
    order_id: UUID
    consistency_token: str = ""


@dataclass(frozen=True, slots=True)
class ListOrders:
    """Read a page of this customer's orders.

    page_size: most orders a page, 1 to 100.
    page_token: `next_page_token` of the page before; empty for the first page.
    consistency_token: waits until the list holds that version of the order; empty: no wait.
    """

    customer_id: UUID
    page_size: int = DEFAULT_PAGE_SIZE
    page_token: str = ""
    consistency_token: str = ""

    def __post_init__(self) -> None:
        check_range("page_size", self.page_size, low=1, high=MAX_PAGE_SIZE, reason="INVALID_PAGE_SIZE")


class OrderError(ServiceError):
    """Base of the order context's own errors."""


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
    """What can be read now does not hold your last change yet."""

    reason = "READ_MODEL_BEHIND"


@dataclass
class EventNotUnderstood(OrderError):
    """The event's payload is not what its type promises."""

    kind, reason = ErrorKind.INVALID, "EVENT_NOT_UNDERSTOOD"
    event_id: UUID


class OrderService(Protocol):
    """Satisfied by the application and by the gRPC client. Any method may raise the kernel's errors, too."""

    async def place_order(self, command: PlaceOrder, /) -> Order:
        """Return the order CONFIRMED, or PENDING when it is not settled in time; on a repeat in its present state.

        Raises OutOfStock, SkuNotFound, OrderRejected; and CircuitOpen for a new order without respond_async while
        inventory is unavailable: then nothing is stored.
        """

    async def get_order(self, query: GetOrder, /) -> Order:
        """Return the order. Raises OrderNotFound, also for another customer's order.

        Raises InvalidField for the token of another order, and ReadModelBehind.
        """

    async def cancel_order(self, command: CancelOrder, /) -> Order:
        """Return the order CANCELLED, or with `cancellation_requested` when that is not done in time.

        Raises OrderNotFound, OrderNotCancellable, VersionConflict.
        """

    async def list_orders(self, query: ListOrders, /) -> OrderPage:
        """Return a page, newest first. Raises InvalidField for the token of another list, and ReadModelBehind."""
