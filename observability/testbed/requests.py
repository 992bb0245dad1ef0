"""Requests to the shop and its answers, in one form for both APIs, so that answers can be compared."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class ApiName(StrEnum):
    """The shop's two public APIs."""

    REST = "rest"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """`quantity` units of one SKU, as requested."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class PlaceRequest:
    """Place an order of these lines for this customer."""

    request_id: str
    customer_id: str
    lines: tuple[RequestedLine, ...]


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Cancel this order of this customer."""

    request_id: str
    customer_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Read this order of this customer.

    request_id: identifies the request in the history, and is not sent.
    consistency_token: that of an earlier answer; "" without one.
    seen_version: the version of that answer, which this one must have reached; 0 without a token.
    may_be_older: a replica may answer, so the answer may be older than one without this token.
    """

    request_id: str
    customer_id: str
    order_id: str
    consistency_token: str = field(default="", compare=False, repr=False)
    seen_version: int = 0
    may_be_older: bool = False


Request: TypeAlias = PlaceRequest | CancelRequest | ReadRequest


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to one attempt: an order's state, a final error, or an unknown outcome.

    known: false if the outcome is unknown, so that the request may be repeated.
    order_id: the order; empty if the answer names none.
    state: the order's state; empty if the answer has none.
    reason: why it failed; empty for a success.
    version: the order's version.
    detail: what every repeat must return unchanged: a sale's total, a rejection's shortages.
    cancellation_requested: the order has a cancellation request.
    consistency_token: for later reads of the order, and of its customer's list.
    """

    known: bool
    order_id: str = ""
    state: str = ""
    reason: str = ""
    version: int | None = None
    detail: str = ""
    cancellation_requested: bool = False
    consistency_token: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """One attempt: the request, its API, its answer, and both times, in seconds from the start of the round."""

    request: Request
    api: ApiName
    sent_seconds: float
    answered_seconds: float
    answer: Response


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as stored in the database once the platform is quiescent.

    order_id, customer_id, state, version, lines: as stored.
    detail: its total or rejection, as in Response.
    keys: ids of the requests that placed it.
    stored_seconds: when it was stored, from the start of the round.
    cancel_stored_seconds: when its cancellation request was stored; None without one.
    reasons: rejection details that inventory's own records allow.
    """

    order_id: str
    customer_id: str
    state: str
    version: int
    lines: tuple[RequestedLine, ...]
    detail: str
    keys: frozenset[str]
    stored_seconds: float
    cancel_stored_seconds: float | None = None
    reasons: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Listing:
    """An order in its customer's list, read with the consistency token of an earlier answer.

    order_id: the order.
    api: the API that was read.
    answered_state: the state in the earlier answer.
    state: the state in the list; "" if the order is not in it.
    reason: why there was no list; "" if there was one.
    """

    order_id: str
    api: ApiName
    answered_state: str
    state: str = ""
    reason: str = ""
