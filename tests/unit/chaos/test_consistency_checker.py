"""Is each way in which a shop can contradict itself found, and nothing in a shop that does not?"""

from dataclasses import replace

import pytest

from observability.chaos.consistency_checker import contradictions, listed_otherwise
from observability.testbed.requests import (
    CancelRequest,
    EdgeName,
    Listing,
    PlaceRequest,
    ReadRequest,
    RecordedExchange,
    RequestedLine,
    Response,
    StoredOrder,
)

LINES = (RequestedLine("A", 2),)
PLACE = PlaceRequest("p1", "anna", LINES)
CANCEL = CancelRequest("c1", "anna", "o1")
READ = ReadRequest("r1", "anna", "o1")
CONFIRMED = Response(known=True, order_id="o1", state="CONFIRMED", version=2, detail="EUR 200")
CANCELLED = replace(CONFIRMED, state="CANCELLED", version=4, cancellation_requested=True)
WISHED = replace(CONFIRMED, version=3, cancellation_requested=True)
OVERLOADED = Response(known=False, reason="OVERLOADED")
NOTHING_KEPT = Response(known=False, reason="CIRCUIT_OPEN")
UNKNOWN = Response(known=False, reason="UNAVAILABLE")
KEPT = StoredOrder(
    "o1", "anna", "CANCELLED", 4, LINES, "EUR 200", frozenset({"p1"}), stored_seconds=0.1, cancel_stored_seconds=2.1
)


def told(request: PlaceRequest | CancelRequest | ReadRequest, answer: Response, *, at: float = 0.0) -> RecordedExchange:
    """An attempt that took half a second."""
    return RecordedExchange(request, EdgeName.REST, at, at + 0.5, answer)


SOUND = (
    told(PLACE, UNKNOWN, at=0),
    told(PLACE, CONFIRMED, at=1),
    told(CANCEL, CANCELLED, at=2),
    told(READ, CANCELLED, at=3),
)


def test_a_shop_that_keeps_its_word_contradicts_nothing() -> None:
    assert contradictions(SOUND, [KEPT]) == []


@pytest.mark.parametrize(
    ("exchanges", "kept", "finding"),
    [
        ((*SOUND, told(PlaceRequest("p2", "anna", LINES), UNKNOWN)), [KEPT], "request p2 was never answered"),
        (
            (*SOUND, told(READ, Response(known=True, reason="ORDER_NOT_FOUND"))),
            [KEPT],
            "request r1 was refused with ORDER_NOT_FOUND by rest",
        ),
        ((*SOUND, told(PLACE, replace(CONFIRMED, order_id="o2"))), [KEPT], "request p1 has 2 orders: o1, o2"),
        (
            (*SOUND, told(PlaceRequest("p2", "anna", LINES), CANCELLED)),
            [KEPT],
            "order o1 belongs to 2 requests: p1, p2",
        ),
        (SOUND, [KEPT, replace(KEPT, order_id="o9", keys=frozenset())], "order o9 was placed by nobody"),
        (SOUND, [], "order o1 of request p1 is lost"),
        (SOUND, [replace(KEPT, lines=(RequestedLine("A", 3),))], "order o1 is not what request p1 asked for"),
        (
            (*SOUND, told(READ, replace(CANCELLED, order_id="o2"), at=4)),
            [KEPT],
            "request r1 about order o1 was answered about o2",
        ),
        (
            (*SOUND, told(READ, CONFIRMED, at=4)),
            [KEPT],
            "order o1 was CANCELLED v4 at 2.500 s and CONFIRMED v2 when asked at 4.000 s",
        ),
        (
            (*SOUND, told(READ, replace(CANCELLED, version=3), at=4)),
            [KEPT],
            "order o1 was CANCELLED v4 at 2.500 s and CANCELLED v3 when asked at 4.000 s",
        ),
        (
            SOUND,
            [replace(KEPT, detail="EUR 100")],
            "order o1, CANCELLED, was told of in 2 ways: EUR 100 / EUR 200",
        ),
        (SOUND, [replace(KEPT, state="PENDING")], "order o1 is PENDING for ever"),
        (
            SOUND,
            [replace(KEPT, state="CONFIRMED")],
            "order o1 was told to be CANCELLED v4 and is CONFIRMED v4",
        ),
        (
            (*SOUND, told(CANCEL, Response(known=True, reason="ORDER_NOT_CANCELLABLE"), at=4)),
            [KEPT],
            "order o1 could not be cancelled as if rejected, and is CANCELLED",
        ),
        (SOUND[:2], [KEPT], "order o1 was cancelled though nobody asked for it"),
        (
            (told(PLACE, OVERLOADED, at=0), *SOUND[1:]),
            [KEPT],
            "request p1 was kept at 0.100 s by a call that was told that it was not begun",
        ),
        (
            (*SOUND[:2], told(CANCEL, NOTHING_KEPT, at=2), told(CANCEL, CANCELLED, at=3)),
            [KEPT],
            "the cancellation of order o1 was kept at 2.100 s by a call that was told that it was not begun",
        ),
        (
            (*SOUND, told(PLACE, NOTHING_KEPT, at=4)),
            [KEPT],
            (
                "request p1 was told at 1.500 s that its order was CONFIRMED v2,"
                " and that nothing was done when asked at 4.000 s"
            ),
        ),
        (
            (*SOUND, told(PlaceRequest("p2", "anna", LINES), Response(known=False, reason="IDEMPOTENCY_IN_PROGRESS"))),
            [KEPT],
            "request p2 was told that another is at work, and was the only one",
        ),
        (
            (*SOUND, told(CANCEL, CONFIRMED, at=2)),
            [KEPT],
            "request c1 was answered CONFIRMED v2, without its wish",
        ),
        (
            (*SOUND[:2], told(CANCEL, WISHED, at=2), told(READ, CONFIRMED, at=3)),
            [KEPT],
            "order o1 was CONFIRMED v2 without the wish that was told before",
        ),
        (
            (*SOUND[:2], told(CANCEL, WISHED, at=2)),
            [replace(KEPT, state="CONFIRMED")],
            "order o1 was told to be on its way to CANCELLED, and is CONFIRMED",
        ),
        (
            (
                *SOUND[:1],
                told(PLACE, Response(True, "o1", "REJECTED", "ORDER_REJECTED", detail="RESERVATION_STATE_CONFLICT")),
            ),
            [
                replace(
                    KEPT,
                    state="REJECTED",
                    detail="RESERVATION_STATE_CONFLICT",
                    reasons=frozenset({"CURRENCY_MISMATCH"}),
                )
            ],
            "order o1 was rejected for RESERVATION_STATE_CONFLICT, and inventory knows of CURRENCY_MISMATCH",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_contradiction_is_found(
    exchanges: tuple[RecordedExchange, ...], kept: list[StoredOrder], finding: str
) -> None:
    assert finding in contradictions(exchanges, kept)


def test_answers_that_overlap_in_time_may_come_in_any_order() -> None:
    """Who asked before the other was answered may have been served first."""
    overlapping = (told(PLACE, CONFIRMED, at=0), told(CANCEL, CANCELLED, at=1), told(READ, CONFIRMED, at=1.2))
    assert contradictions(overlapping, [KEPT]) == []


@pytest.mark.parametrize(
    ("listing", "found"),
    [
        (Listing("o1", EdgeName.REST, "CONFIRMED", "CONFIRMED"), ""),
        (Listing("o1", EdgeName.REST, "CONFIRMED", "CANCELLED"), ""),
        (Listing("o1", EdgeName.REST, "CONFIRMED", reason="READ_MODEL_BEHIND"), ""),
        (Listing("o1", EdgeName.REST, "CONFIRMED", "PENDING"), "has it PENDING"),
        (Listing("o1", EdgeName.REST, "CONFIRMED"), "has it not at all"),
        (Listing("o1", EdgeName.REST, "CONFIRMED", reason="INVALID_CONSISTENCY_TOKEN"), "as if the token were made up"),
    ],
)
def test_a_list_that_is_older_than_its_token_is_found(listing: Listing, found: str) -> None:
    sentences = list(listed_otherwise([listing]))
    assert [sentence.endswith(found) for sentence in sentences] == [True] * bool(found)


def test_a_call_that_was_not_begun_may_be_repeated() -> None:
    """What is kept was begun by another, also by one that nobody waited for."""
    repeated = (
        told(PLACE, OVERLOADED, at=-2),
        told(PLACE, NOTHING_KEPT, at=-1),
        *SOUND,
        told(CANCEL, OVERLOADED, at=4),
    )
    assert contradictions(repeated, [KEPT]) == []
