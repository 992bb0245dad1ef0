"""Which answers were of use to whoever asked? Those that were asked for, and came in time.

An order that is kept, to be sold later, is what a customer asked for who said `Prefer: respond-async`. To the others it
is none, and where more is asked than can be done it only puts off what there is no time for.
"""

from observability.load.outcomes import OutcomeKind
from observability.load.recorder import RequestRecord

# As the edge has it: later answers are no use to anybody.
DEADLINE_SECONDS = 2.0


def is_in_time(request: RequestRecord) -> bool:
    """Say whether an answer, of whatever kind, came within the deadline, counted from when the order was due."""
    return request.latency_seconds <= DEADLINE_SECONDS


def is_answered_rightly(request: RequestRecord, *, respond_async: bool = False) -> bool:
    """Say whether an order was sold or, where customers prefer that to waiting, kept; whenever the answer came."""
    kept = respond_async and request.outcome is OutcomeKind.PENDING
    return kept or request.outcome is OutcomeKind.CONFIRMED


def is_good(request: RequestRecord, *, respond_async: bool = False) -> bool:
    """Say whether an order was answered rightly, and in time."""
    return is_in_time(request) and is_answered_rightly(request, respond_async=respond_async)


def answer_of(request: RequestRecord) -> str:
    """Name how an order ended: sold or kept for later, either of them too late, or why not."""
    match request.outcome:
        case OutcomeKind.CONFIRMED:
            said = "sold"
        case OutcomeKind.PENDING:
            said = "kept"
        case _:
            return request.reason or request.outcome.value
    return said if is_in_time(request) else f"{said} too late"
