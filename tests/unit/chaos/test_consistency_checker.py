"""Tests of the consistency checker: it finds each kind of contradiction, and none in a consistent shop."""

from dataclasses import replace

import pytest

from observability.chaos.consistency_checker import check_lists_are_current, find_contradictions
from observability.testbed.requests import (
    ApiName,
    CancelRequest,
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
CANCELLING = replace(CONFIRMED, version=3, cancellation_requested=True)
OVERLOADED = Response(known=False, reason="OVERLOADED")
NOTHING_DONE = Response(known=False, reason="CIRCUIT_OPEN")
BEHIND = Response(known=False, reason="READ_MODEL_BEHIND")
UNKNOWN = Response(known=False, reason="UNAVAILABLE")
STORED = StoredOrder(
    "o1", "anna", "CANCELLED", 4, LINES, "EUR 200", frozenset({"p1"}), stored_seconds=0.1, cancel_stored_seconds=2.1
)


def attempt(
    request: PlaceRequest | CancelRequest | ReadRequest, answer: Response, *, at: float = 0.0
) -> RecordedExchange:
    """Return an attempt that took half a second."""
    return RecordedExchange(request, ApiName.REST, at, at + 0.5, answer)


SOUND = (
    attempt(PLACE, UNKNOWN, at=0),
    attempt(PLACE, CONFIRMED, at=1),
    attempt(CANCEL, CANCELLED, at=2),
    attempt(READ, CANCELLED, at=3),
)


def test_a_consistent_shop_has_no_contradiction() -> None:
    assert find_contradictions(SOUND, [STORED]) == []


@pytest.mark.parametrize(
    ("exchanges", "stored", "finding"),
    [
        ((*SOUND, attempt(PlaceRequest("p2", "anna", LINES), UNKNOWN)), [STORED], "request p2 was never answered"),
        (
            (*SOUND, attempt(READ, Response(known=True, reason="ORDER_NOT_FOUND"))),
            [STORED],
            "request r1 was answered with ORDER_NOT_FOUND by rest",
        ),
        ((*SOUND, attempt(PLACE, replace(CONFIRMED, order_id="o2"))), [STORED], "request p1 has 2 orders: o1, o2"),
        (
            (*SOUND, attempt(PlaceRequest("p2", "anna", LINES), CANCELLED)),
            [STORED],
            "order o1 belongs to 2 requests: p1, p2",
        ),
        (SOUND, [STORED, replace(STORED, order_id="o9", keys=frozenset())], "order o9 belongs to no request"),
        (SOUND, [], "order o1 of request p1 is lost"),
        (SOUND, [replace(STORED, lines=(RequestedLine("A", 3),))], "order o1 differs from what request p1 asked for"),
        (
            (*SOUND, attempt(READ, replace(CANCELLED, order_id="o2"), at=4)),
            [STORED],
            "request r1 about order o1 was answered about o2",
        ),
        (
            (*SOUND, attempt(READ, CONFIRMED, at=4)),
            [STORED],
            "order o1 was CANCELLED v4 at 2.500 s and CONFIRMED v2 in the answer to a request sent at 4.000 s",
        ),
        (
            (*SOUND, attempt(READ, replace(CANCELLED, version=3), at=4)),
            [STORED],
            "order o1 was CANCELLED v4 at 2.500 s and CANCELLED v3 in the answer to a request sent at 4.000 s",
        ),
        (
            (*SOUND, attempt(replace(READ, seen_version=4, may_be_older=True), CANCELLING, at=4)),
            [STORED],
            "order o1 was CONFIRMED v3 in the answer to read r1, whose token is of version 4",
        ),
        (
            (*SOUND[:3], attempt(replace(READ, seen_version=4), BEHIND, at=3), SOUND[3]),
            [STORED],
            "read r1 was answered READ_MODEL_BEHIND, and no replica can be the reason",
        ),
        (
            (*SOUND[:3], attempt(replace(READ, may_be_older=True), BEHIND, at=3), SOUND[3]),
            [STORED],
            "read r1 was answered READ_MODEL_BEHIND, and no replica can be the reason",
        ),
        (
            (*SOUND, attempt(READ, replace(CANCELLED, state="CONFIRMED"), at=2.2)),
            [STORED],
            "order o1 has 2 different contents at version 4",
        ),
        (
            SOUND,
            [replace(STORED, detail="EUR 100")],
            "order o1, CANCELLED, has 2 different details: EUR 100 / EUR 200",
        ),
        (SOUND, [replace(STORED, state="PENDING")], "order o1 is PENDING and was never finished"),
        (
            SOUND,
            [replace(STORED, state="CONFIRMED")],
            "order o1 was CANCELLED v4 in an answer and is CONFIRMED v4",
        ),
        (
            (*SOUND, attempt(CANCEL, Response(known=True, reason="ORDER_NOT_CANCELLABLE"), at=4)),
            [STORED],
            "order o1 was answered ORDER_NOT_CANCELLABLE, and is CANCELLED",
        ),
        (SOUND[:2], [STORED], "order o1 was cancelled without a request"),
        (
            (attempt(PLACE, OVERLOADED, at=0), *SOUND[1:]),
            [STORED],
            "request p1 was stored at 0.100 s by a call whose answer says that it did not start",
        ),
        (
            (*SOUND[:2], attempt(CANCEL, NOTHING_DONE, at=2), attempt(CANCEL, CANCELLED, at=3)),
            [STORED],
            "the cancellation of order o1 was stored at 2.100 s by a call whose answer says that it did not start",
        ),
        (
            (*SOUND, attempt(PLACE, NOTHING_DONE, at=4)),
            [STORED],
            ("request p1 was answered CONFIRMED v2 at 1.500 s, and its repeat sent at 4.000 s that nothing was done"),
        ),
        (
            (
                *SOUND,
                attempt(PlaceRequest("p2", "anna", LINES), Response(known=False, reason="IDEMPOTENCY_IN_PROGRESS")),
            ),
            [STORED],
            "request p2 was answered IDEMPOTENCY_IN_PROGRESS, and had no other attempt",
        ),
        (
            (*SOUND, attempt(CANCEL, CONFIRMED, at=2)),
            [STORED],
            "request c1 was answered CONFIRMED v2, without its cancellation",
        ),
        (
            (*SOUND[:2], attempt(CANCEL, CANCELLING, at=2), attempt(READ, CONFIRMED, at=3)),
            [STORED],
            "order o1 was CONFIRMED v2 without the cancellation answered before",
        ),
        (
            (*SOUND[:2], attempt(CANCEL, CANCELLING, at=2)),
            [replace(STORED, state="CONFIRMED")],
            "order o1 had an accepted cancellation, and is CONFIRMED",
        ),
        (
            (
                *SOUND[:1],
                attempt(PLACE, Response(True, "o1", "REJECTED", "ORDER_REJECTED", detail="RESERVATION_STATE_CONFLICT")),
            ),
            [
                replace(
                    STORED,
                    state="REJECTED",
                    detail="RESERVATION_STATE_CONFLICT",
                    reasons=frozenset({"CURRENCY_MISMATCH"}),
                )
            ],
            "order o1 was rejected for RESERVATION_STATE_CONFLICT, and inventory has CURRENCY_MISMATCH",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_contradiction_is_found(
    exchanges: tuple[RecordedExchange, ...], stored: list[StoredOrder], finding: str
) -> None:
    assert finding in find_contradictions(exchanges, stored)


def test_answers_that_overlap_in_time_may_come_in_any_order() -> None:
    """A request sent before the other was answered may have been served first."""
    overlapping = (attempt(PLACE, CONFIRMED, at=0), attempt(CANCEL, CANCELLED, at=1), attempt(READ, CONFIRMED, at=1.2))
    assert find_contradictions(overlapping, [STORED]) == []


def test_a_read_of_a_replica_may_be_older_than_an_answer_without_its_token() -> None:
    """It has the version of its token, or is told to repeat."""
    read = replace(READ, seen_version=2, may_be_older=True)
    reads = (attempt(read, BEHIND, at=3), attempt(read, CONFIRMED, at=4), attempt(READ, CANCELLED, at=5))
    assert find_contradictions((*SOUND[:3], *reads), [STORED]) == []


@pytest.mark.parametrize(
    ("listing", "found"),
    [
        (Listing("o1", ApiName.REST, "CONFIRMED", "CONFIRMED"), ""),
        (Listing("o1", ApiName.REST, "CONFIRMED", "CANCELLED"), ""),
        (Listing("o1", ApiName.REST, "CONFIRMED", reason="READ_MODEL_BEHIND"), ""),
        (Listing("o1", ApiName.REST, "CONFIRMED", "PENDING"), "has it PENDING"),
        (Listing("o1", ApiName.REST, "CONFIRMED"), "has it not at all"),
        (Listing("o1", ApiName.REST, "CONFIRMED", reason="INVALID_CONSISTENCY_TOKEN"), "as if the token were forged"),
    ],
)
def test_a_list_that_is_older_than_its_token_is_found(listing: Listing, found: str) -> None:
    sentences = list(check_lists_are_current([listing]))
    assert [sentence.endswith(found) for sentence in sentences] == [True] * bool(found)


def test_a_call_that_was_not_begun_may_be_repeated() -> None:
    """Another attempt stored the order, perhaps one whose client had left."""
    repeated = (
        attempt(PLACE, OVERLOADED, at=-2),
        attempt(PLACE, NOTHING_DONE, at=-1),
        *SOUND,
        attempt(CANCEL, OVERLOADED, at=4),
    )
    assert find_contradictions(repeated, [STORED]) == []
