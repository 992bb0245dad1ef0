"""Which answers were of use to whoever asked? Those that said yes, and came in time."""

from observability.lab.outcomes import OutcomeKind
from observability.lab.run import RequestRecord

# As the edge has it: later answers are no use to anybody.
DEADLINE_SECONDS = 2.0


def is_in_time(request: RequestRecord) -> bool:
    """Say whether an answer, of whatever kind, came within the deadline, counted from when the order was due."""
    return request.latency_seconds <= DEADLINE_SECONDS


def is_answered_rightly(request: RequestRecord) -> bool:
    """Say whether an order was sold, or kept to be sold later, whenever the answer came."""
    return request.outcome in {OutcomeKind.CONFIRMED, OutcomeKind.PENDING}


def is_good(request: RequestRecord) -> bool:
    """Say whether an order was answered rightly, and in time."""
    return is_answered_rightly(request) and is_in_time(request)


def is_sold_in_time(request: RequestRecord) -> bool:
    """Say whether an order was sold, and in time."""
    return request.outcome is OutcomeKind.CONFIRMED and is_in_time(request)


def answer_of(request: RequestRecord) -> str:
    """Name how an order ended: sold or kept for later, either of them too late, or why not."""
    match request.outcome:
        case OutcomeKind.CONFIRMED:
            said = "sold"
        case OutcomeKind.PENDING:
            said = "kept"
        case _:
            return request.reason or request.outcome
    return said if is_in_time(request) else f"{said} too late"
