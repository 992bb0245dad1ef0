"""Goodput: the answers that are successful and within the deadline.

A pending order counts as success only for customers who send `Prefer: respond-async`. For the others it does not: under
overload, accepting orders for later only postpones the work.
"""

from observability.load.outcomes import OutcomeKind
from observability.load.recorder import RequestRecord

# The edge's own deadline.
DEADLINE_SECONDS = 2.0


def is_in_time(request: RequestRecord) -> bool:
    """Return whether an answer of any kind came within the deadline, counted from when the order was due."""
    return request.latency_seconds <= DEADLINE_SECONDS


def is_success(request: RequestRecord, *, respond_async: bool = False) -> bool:
    """Return whether an order was sold, or is pending and the customer sent `Prefer: respond-async`; at any time."""
    accepted = respond_async and request.outcome is OutcomeKind.PENDING
    return accepted or request.outcome is OutcomeKind.CONFIRMED


def is_good(request: RequestRecord, *, respond_async: bool = False) -> bool:
    """Return whether an order was answered with success, and in time."""
    return is_in_time(request) and is_success(request, respond_async=respond_async)


def answer_of(request: RequestRecord) -> str:
    """Return how an order ended: "sold" or "pending", with " too late" after the deadline, or the reason of failure."""
    match request.outcome:
        case OutcomeKind.CONFIRMED:
            answer = "sold"
        case OutcomeKind.PENDING:
            answer = "pending"
        case _:
            return request.reason or request.outcome.value
    return answer if is_in_time(request) else f"{answer} too late"
