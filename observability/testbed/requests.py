"""Requests to the shop and its answers, in the same words for both edges, so that answers can be compared."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class EdgeName(StrEnum):
    """The two public ways into the shop."""

    REST = "rest"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """A wish for `quantity` units of one SKU."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class PlaceRequest:
    """Sell these lines to this customer."""

    request_id: str
    customer_id: str
    lines: tuple[RequestedLine, ...]


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """End this order of this customer."""

    request_id: str
    customer_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Show this order of this customer; the request id only names the wish in the history."""

    request_id: str
    customer_id: str
    order_id: str


Request: TypeAlias = PlaceRequest | CancelRequest | ReadRequest


@dataclass(frozen=True, slots=True)
class Response:
    """What one attempt brought: an order's state, a refusal that is final, or nothing that is known.

    `state` is empty unless the answer tells one; `reason` is why it was refused or is not known. `detail` holds what a
    repeat must tell again word by word: the total of a sale, the shortages of a rejection. `cancellation_requested` is
    true when the answer says that the order's end is asked for. `consistency_token` is for the list of orders.
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
    """One attempt: what was asked, by which edge, when in seconds of the round, and what came back."""

    request: Request
    edge: EdgeName
    sent_seconds: float
    answered_seconds: float
    answer: Response


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """An order as the database has it when everything is quiet.

    `keys` are the ids of the requests it is kept under; `reasons` are the details of a rejection that inventory's own
    records allow. `kept_seconds` and `wished_seconds` say when it, and the wish to end it, were stored, in seconds of
    the round; None when there was no wish.
    """

    order_id: str
    customer_id: str
    state: str
    version: int
    lines: tuple[RequestedLine, ...]
    detail: str
    keys: frozenset[str]
    kept_seconds: float
    wished_seconds: float | None = None
    reasons: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Listing:
    """An order in its customer's list, asked for with the token of an answer that told `told`.

    `state` is what the list says, "" when the order is not in it; `reason` is why there was no list.
    """

    order_id: str
    edge: EdgeName
    told: str
    state: str = ""
    reason: str = ""
