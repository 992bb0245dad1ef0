"""Tests of the classification of answers."""

import orjson
import pytest

from observability.load.outcomes import Exchange, Outcome, OutcomeKind, classify


@pytest.mark.parametrize(
    ("status", "document", "kind", "reason"),
    [
        (201, {"order_id": "o", "state": "CONFIRMED"}, OutcomeKind.CONFIRMED, ""),
        (202, {"order_id": "o", "state": "PENDING"}, OutcomeKind.PENDING, ""),
        (409, {"order_id": "o", "reason": "OUT_OF_STOCK"}, OutcomeKind.REJECTED, "OUT_OF_STOCK"),
        (404, {"order_id": "o", "reason": "SKU_NOT_FOUND"}, OutcomeKind.REJECTED, "SKU_NOT_FOUND"),
        (409, {"reason": "IDEMPOTENCY_IN_PROGRESS"}, OutcomeKind.ERROR, "IDEMPOTENCY_IN_PROGRESS"),
        (404, {"detail": "Not Found"}, OutcomeKind.ERROR, "HTTP_404"),
        (503, {"reason": "OVERLOADED"}, OutcomeKind.ERROR, "OVERLOADED"),
        (201, {"order_id": "o", "state": "CANCELLED"}, OutcomeKind.ERROR, "HTTP_201"),
        (200, {"hints": []}, OutcomeKind.SEEN, ""),
        (404, {"reason": "SKU_NOT_FOUND", "skus": []}, OutcomeKind.ERROR, "SKU_NOT_FOUND"),
        (200, ["not", "an", "order"], OutcomeKind.ERROR, "HTTP_200"),
        (500, {"reason": 7}, OutcomeKind.ERROR, "HTTP_500"),
    ],
)
def test_an_answer_is_named(status: int, document: object, kind: OutcomeKind, reason: str) -> None:
    outcome = classify(Exchange(status=status, body=orjson.dumps(document)))
    assert (outcome.kind, outcome.reason) == (kind, reason)


def test_a_body_that_is_no_json_is_an_error() -> None:
    assert classify(Exchange(status=201, body=b"<html>")) == Outcome(OutcomeKind.ERROR, "HTTP_201")


def test_no_answer_is_no_rejection() -> None:
    assert classify(Exchange(failure="TIMEOUT")) == Outcome(OutcomeKind.TRANSPORT, "TIMEOUT")
