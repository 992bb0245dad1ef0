"""Outcome of one request: classifies the answer as a sale, a stored rejection, an error, or no answer."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

import orjson

_REJECTION_STATUSES = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})


class OutcomeKind(StrEnum):
    """How one request ended, as its sender sees it. SEEN: a read of stock hints that was answered."""

    CONFIRMED = "confirmed"
    SEEN = "seen"
    PENDING = "pending"
    REJECTED = "rejected"
    ERROR = "error"
    TRANSPORT = "transport"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The answer to one request: HTTP status and body, or the name of the transport failure."""

    status: int | None = None
    body: bytes = b""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended.

    kind: sale, rejection, error, ...
    reason: why it was not a success; empty for a success.
    order_id: id of the stored order, if there is one.
    """

    kind: OutcomeKind
    reason: str = ""
    order_id: str | None = None


def classify(exchange: Exchange) -> Outcome:
    """Return the outcome of an exchange.

    A 404 or 409 is a rejection only if it names the order that was stored as rejected; otherwise it is an error.
    """
    if exchange.status is None:
        return Outcome(OutcomeKind.TRANSPORT, exchange.failure)
    document = _document(exchange.body)
    order_id, reason = _text(document, "order_id"), _text(document, "reason")
    state = _text(document, "state")
    if exchange.status == HTTPStatus.OK and isinstance(document.get("hints"), list):
        return Outcome(OutcomeKind.SEEN)
    if exchange.status == HTTPStatus.CREATED and state == "CONFIRMED":
        return Outcome(OutcomeKind.CONFIRMED, order_id=order_id)
    if exchange.status == HTTPStatus.ACCEPTED and state == "PENDING":
        return Outcome(OutcomeKind.PENDING, order_id=order_id)
    if exchange.status in _REJECTION_STATUSES and order_id and reason:
        return Outcome(OutcomeKind.REJECTED, reason, order_id)
    return Outcome(OutcomeKind.ERROR, reason or f"HTTP_{exchange.status}", order_id)


def _document(body: bytes) -> dict[str, object]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _text(document: dict[str, object], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) else None
