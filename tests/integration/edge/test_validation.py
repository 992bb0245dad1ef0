"""Validation of request bodies with thousands of errors: the answer stays short and names the fields."""

import json
from typing import Any

import pytest

from tests.integration.edge.conftest import Edge

# A good order of the same size is answered with 125 kB.
SHORT_BYTES = 4_000
LINE = {"sku": "85123A", "quantity": 1}
HEADERS = {"Idempotency-Key": "one", "Content-Type": "application/json"}


async def problem_of(edge: Edge, body: bytes) -> dict[str, Any]:
    """Return the problem that a body is answered with, which is short."""
    async with edge.session.post("/orders", data=body, headers=HEADERS) as answer:
        assert answer.status == 400
        content = await answer.read()
        assert len(content) < SHORT_BYTES
        problem: dict[str, Any] = json.loads(content)
        return problem


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"lines": [LINE], **{f"x{at}": at for at in range(9_000)}}, id="unknown fields"),
        pytest.param({"lines": [LINE | {f"x{at}": at for at in range(9_000)}]}, id="unknown fields of a line"),
        pytest.param({"lines": [LINE | {"x": 1, "y": 2}] * 1_500}, id="unknown fields of all lines"),
        pytest.param({"lines": [{"sku": "a", "quantity": -1}] * 1_500}, id="wrong fields of all lines"),
        pytest.param({"lines": [{}] * 1_500}, id="absent fields of all lines"),
        pytest.param({"lines": [LINE], "x" * 200_000: 1}, id="long name"),
    ],
)
async def test_a_body_with_many_errors_gets_a_short_answer(edge: Edge, document: dict[str, Any]) -> None:
    problem = await problem_of(edge, json.dumps(document).encode())
    assert 1 <= len(problem["errors"]) <= 20


async def test_an_unknown_field_is_named_and_gives_the_reason_no_name(edge: Edge) -> None:
    problem = await problem_of(edge, json.dumps({"lines": [{"sku": "85123A", "colour": "red"}]}).encode())
    reasons = {error["field"]: error["reason"] for error in problem["errors"]}
    assert reasons == {"lines[0].quantity": "INVALID_QUANTITY", "lines[0].colour": "UNKNOWN_FIELD"}


async def test_too_many_fields_are_reported_with_their_number(edge: Edge) -> None:
    (error,) = (await problem_of(edge, json.dumps({"lines": [LINE | {"x": 1, "y": 2}]}).encode()))["errors"]
    assert error == {
        "field": "lines[0]",
        "reason": "INVALID_LINES",
        "description": "has 4 fields; there are only: sku, quantity",
    }
