"""Header fields: repeated or differently formatted ones of requests, and those of answers."""

import aiohttp
import pytest

from services.order.api import PlaceOrder
from tests.integration.edge.conftest import Edge

ORDER = {"lines": [{"sku": "85123A", "quantity": 1}]}
KEY = ("Idempotency-Key", "one")


async def order(edge: Edge, *headers: tuple[str, str]) -> aiohttp.ClientResponse:
    """Place an order."""
    async with edge.session.post("/orders", json=ORDER, headers=[*headers]) as answer:
        await answer.read()
        return answer


def placed(edge: Edge) -> PlaceOrder:
    """Return the order that reached the context."""
    (command,) = edge.orders.commands
    assert isinstance(command, PlaceOrder)
    return command


@pytest.mark.parametrize(
    "preferences",
    [("respond-async",), ("wait=10", "respond-async"), ("respond-async", "wait=10"), ("wait=10, Respond-Async",)],
    ids=str,
)
async def test_all_prefer_headers_are_one_list(edge: Edge, preferences: tuple[str, ...]) -> None:
    await order(edge, KEY, *(("Prefer", preference) for preference in preferences))
    assert placed(edge).respond_async


async def test_two_idempotency_keys_are_refused(edge: Edge) -> None:
    answer = await order(edge, KEY, ("Idempotency-Key", "two"))
    assert answer.status == 400
    assert (await answer.json(content_type=None))["reason"] == "INVALID_IDEMPOTENCY_KEY"
    assert not edge.orders.commands


async def test_a_quoted_idempotency_key_is_the_same_as_a_bare_one(edge: Edge) -> None:
    """draft-ietf-httpapi-idempotency-key-header: the value is a structured field's string, in quotes."""
    assert (await order(edge, ("Idempotency-Key", '"one"'))).status == 201
    assert placed(edge).request_id == "one"


@pytest.mark.parametrize("key", ['"one', 'one"', '""one""', '"o"ne"', '""'])
async def test_a_key_with_other_quotes_is_refused(edge: Edge, key: str) -> None:
    assert (await order(edge, ("Idempotency-Key", key))).status == 400


async def test_answers_for_a_customer_are_not_cacheable(edge: Edge) -> None:
    answers = [await order(edge, KEY)]
    location = answers[0].headers["Location"]
    for path in (location, f"{location}0", f"/customers/{edge.customer_id}/orders", "/nowhere"):
        async with edge.session.get(path) as answer:
            answers.append(answer)
    assert [answer.status for answer in answers] == [201, 200, 400, 200, 404]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


async def test_head_is_answered_as_get_without_the_body(edge: Edge) -> None:
    location = (await order(edge, KEY)).headers["Location"]
    for path in (location, f"/customers/{edge.customer_id}/orders", "/stock-hints?sku=85123A", "/openapi.json"):
        async with edge.session.get(path) as got, edge.session.head(path) as head:
            assert (head.status, head.headers["Content-Length"]) == (got.status, got.headers["Content-Length"])
            assert (got.status, await head.read()) == (200, b"")


async def test_head_is_measured_under_its_route(edge: Edge) -> None:
    location = (await order(edge, KEY)).headers["Location"]
    async with edge.session.head(location):
        pass
    labels = {
        "context": "edge",
        "http_request_method": "HEAD",
        "http_route": "/orders/{order_id}",
        "http_response_status_code": "200",
    }
    count = edge.runtime.metrics.registry.get_sample_value("http_server_request_duration_seconds_count", labels)
    assert count == 1


async def test_the_methods_of_a_path_name_head(edge: Edge) -> None:
    async with edge.session.delete("/stock-hints") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
