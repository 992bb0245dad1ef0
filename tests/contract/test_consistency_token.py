"""Consistency tokens: a list requested with an order's token contains that order at its version or a later one."""

import asyncio
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from shop.order.v1 import order_service_pb2 as pb

from observability.telemetry.admission import AdmissionTelemetry
from services.edge.server import edge_server
from services.infra import deadline
from services.infra.admission import AdmissionController
from services.infra.rpc.errors import Details, status_of
from services.kernel.errors import InvalidField
from services.order.adapters import summaries
from services.order.api import CancelOrder, GetOrder, ListOrders, Order, OrderState, ReadModelBehind
from services.order.consistency_token import OrderVersion, TokenKeys
from services.order.rpc.client import OrderClient
from tests.contract.shop import LOOPBACK, POOL_SIZE, Mode, Shop, place, request_id, stock
from tests.full import in_full

# Far below the time that an answer may take, and above what it takes on a busy machine.
SHORT_SECONDS = 0.3
MARGIN_SECONDS = 1.0
AMPLE_SECONDS = 10.0
# The statement that looks whether the list is far enough.
LOOK = "SELECT order_summaries version"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: Any


@pytest.fixture(params=["grpc", *in_full("in_process")])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Return the mode of calling."""
    found: Mode = request.param
    return found


class Edge:
    """The REST edge in front of a shop, as one customer calls it."""

    def __init__(self, session: aiohttp.ClientSession, customer_id: UUID) -> None:
        self._session = session
        self._customer_id = customer_id

    async def place(self) -> Answer:
        """Order one unit."""
        body = {"lines": [{"sku": "A", "quantity": 1}]}
        return await self._request("POST", "/orders", json=body, headers={"Idempotency-Key": request_id()})

    async def list(self, **query: str) -> Answer:
        """List the customer's orders."""
        return await self._request("GET", f"/customers/{self._customer_id}/orders", params=query)

    async def _request(self, method: str, path: str, **arguments: Any) -> Answer:
        async with self._session.request(method, path, **arguments) as response:
            return Answer(response.status, response.headers, await response.json(content_type=None))


@asynccontextmanager
async def opened(shop: Shop, *, admission: AdmissionController | None = None) -> AsyncIterator[Edge]:
    """Serve the edge during a with block, with admission control or without."""
    server = edge_server(
        orders=shop.orders,
        inventory=shop.inventory,
        admission=admission,
        runtime=shop.runtime,
        listen=LOOPBACK,
        request_deadline_seconds=AMPLE_SECONDS,
    )
    target, customer_id = (await server.start())["http"], uuid4()
    try:
        headers = {"X-Customer-Id": str(customer_id)}
        async with aiohttp.ClientSession(f"http://{target}", headers=headers) as session:
            yield Edge(session, customer_id)
    finally:
        await server.stop(grace_seconds=1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a list be waited for a short time only, however much the caller has."""
    monkeypatch.setattr(summaries, "MOST_WAIT_SECONDS", SHORT_SECONDS)


async def sell(shop: Shop) -> Order:
    """Sell one order of which the list knows nothing yet."""
    await stock(shop, A=1)
    return await shop.orders.place_order(place(A=1))


async def cancel(shop: Shop, order: Order) -> Order:
    """Cancel it."""
    return await shop.orders.cancel_order(CancelOrder(request_id(), order.customer_id, order.order_id))


async def states(shop: Shop, order: Order, *, token: str = "") -> Mapping[UUID, OrderState]:
    """Return what the list says of each of the customer's orders."""
    page = await shop.orders.list_orders(ListOrders(order.customer_id, consistency_token=token))
    return {summary.order_id: summary.state for summary in page.orders}


def made_up(order: Order) -> list[str]:
    """Tokens that no order of this customer came with, among them one as they were before they were signed."""
    own_keys = TokenKeys(0, {0: bytes(32)})
    seen = f"{order.order_id} {order.version} {order.customer_id}"
    return [
        "none",
        "=",
        "é",
        urlsafe_b64encode(seen.encode()).decode(),
        own_keys.sign(OrderVersion(order.customer_id, order.order_id, order.version)),
        order.consistency_token.swapcase(),
        order.consistency_token[:-1],
    ]


async def test_a_request_with_a_token_reads_its_own_write(shop: Shop) -> None:
    """The list is waited for, whichever answer the token came with."""
    order = await sell(shop)
    found, _ = await asyncio.gather(states(shop, order, token=order.consistency_token), shop.catch_up())
    assert found == {order.order_id: OrderState.CONFIRMED}
    token = (await cancel(shop, order)).consistency_token
    found, _ = await asyncio.gather(states(shop, order, token=token), shop.catch_up())
    assert found == {order.order_id: OrderState.CANCELLED}
    read = await shop.orders.get_order(GetOrder(order.customer_id, order.order_id))
    assert await states(shop, order, token=read.consistency_token) == found


async def test_an_older_token_is_content_with_a_newer_list(shop: Shop) -> None:
    """What the order became later is no older than what the customer saw."""
    order = await sell(shop)
    await cancel(shop, order)
    await shop.catch_up()
    assert await states(shop, order, token=order.consistency_token) == {order.order_id: OrderState.CANCELLED}


async def test_a_list_behind_its_token_fails_before_the_deadline(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the old list, neither without the order nor with its older state; a caller in a hurry has an answer too."""
    # What is kept back for the answer is enough on a slow machine, too.
    monkeypatch.setattr(deadline, "MARGIN_SECONDS", MARGIN_SECONDS)
    order = await sell(shop)
    with deadline.within(3 * MARGIN_SECONDS), pytest.raises(ReadModelBehind) as caught:
        await states(shop, order, token=order.consistency_token)
    assert caught.value == ReadModelBehind(1.0)
    await shop.catch_up()
    token = (await cancel(shop, order)).consistency_token
    with deadline.within(3 * MARGIN_SECONDS), pytest.raises(ReadModelBehind):
        await states(shop, order, token=token)
    await shop.catch_up()
    assert await states(shop, order, token=token) == {order.order_id: OrderState.CANCELLED}


async def test_no_list_is_waited_for_longer_than_the_bound(shop: Shop, impatient: None) -> None:
    """Also by a caller who has all the time: the server keeps nothing for a consumer that is paused."""
    order = await sell(shop)
    with pytest.raises(ReadModelBehind):
        await states(shop, order, token=order.consistency_token)
    # In the short time there are six looks at most, and some fifty in what the caller has.
    assert 0 < len(shop.finished(LOOK)) < 10


def all_looked_again(shop: Shop, requests: int) -> bool:
    """Return whether each of so many requests has looked at the list a second time, so that it waits."""
    looks = Counter(span.context.trace_id for span in shop.finished(LOOK) if span.context)
    return sum(count > 1 for count in looks.values()) == requests


@pytest.mark.parametrize("limit", ["MOST_WAITING", "MOST_WAITING_PER_CUSTOMER"])
async def test_more_than_a_few_do_not_wait_together(shop: Shop, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """Further requests are rejected at once, and the waiting ones are answered when the list is updated."""
    monkeypatch.setattr(summaries, limit, 2)
    monkeypatch.setattr(summaries, "MOST_WAIT_SECONDS", AMPLE_SECONDS)
    order = await sell(shop)
    waiting = [asyncio.create_task(states(shop, order, token=order.consistency_token)) for _ in range(2)]
    async with asyncio.timeout(AMPLE_SECONDS):
        while not all_looked_again(shop, len(waiting)):
            await asyncio.sleep(0.01)
    with pytest.raises(ReadModelBehind):
        await states(shop, order, token=order.consistency_token)
    assert not any(task.done() for task in waiting)
    await shop.catch_up()
    assert await asyncio.gather(*waiting) == [{order.order_id: OrderState.CONFIRMED}] * 2


async def test_waits_of_one_customer_do_not_limit_another(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "MOST_WAITING_PER_CUSTOMER", 1)
    monkeypatch.setattr(summaries, "MOST_WAIT_SECONDS", AMPLE_SECONDS)
    orders = [await sell(shop), await sell(shop)]
    waiting = [asyncio.create_task(states(shop, order, token=order.consistency_token)) for order in orders]
    async with asyncio.timeout(AMPLE_SECONDS):
        while not all_looked_again(shop, len(waiting)):
            await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)
    await shop.catch_up()
    assert await asyncio.gather(*waiting) == [{order.order_id: OrderState.CONFIRMED} for order in orders]


async def test_without_a_token_the_list_is_answered_as_it_is(shop: Shop) -> None:
    """At once, without a look at its version."""
    order = await sell(shop)
    assert await states(shop, order) == {}
    assert shop.finished(LOOK) == []


async def test_a_made_up_token_names_its_field(shop: Shop) -> None:
    """So is another customer's; there is no wait and no query of the database."""
    order, other = await sell(shop), await sell(shop)
    for token in [*made_up(order), other.consistency_token]:
        with pytest.raises(InvalidField) as caught:
            await states(shop, order, token=token)
        assert (caught.value.field, caught.value.reason) == ("consistency_token", "INVALID_CONSISTENCY_TOKEN"), token
    assert shop.finished(LOOK) == []


@pytest.mark.parametrize("mode", ["grpc"])
async def test_grpc_answers_carry_tokens_and_errors_carry_statuses(shop: Shop, impatient: None) -> None:
    """UNAVAILABLE with the time to wait, INVALID_ARGUMENT with the field: for a client that is not ours."""
    assert isinstance(shop.orders, OrderClient)
    order, stub = await sell(shop), shop.orders._stub
    got = await stub.GetOrder(pb.GetOrderRequest(order_id=str(order.order_id), customer_id=str(order.customer_id)))
    assert got.consistency_token == order.consistency_token
    errors = []
    for token in (got.consistency_token, "none"):
        request = pb.ListOrdersRequest(customer_id=str(order.customer_id), page_size=1, consistency_token=token)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListOrders(request)
        errors.append((caught.value.code(), Details(status_of(caught.value))))
    (behind, its_details), (invalid, field_details) = errors
    assert (behind, its_details.find(ErrorInfo).reason) == (grpc.StatusCode.UNAVAILABLE, "READ_MODEL_BEHIND")
    assert its_details.find(RetryInfo).retry_delay.ToMilliseconds() == 1_000
    (violation,) = field_details.find(BadRequest).field_violations
    assert (invalid, violation.field) == (grpc.StatusCode.INVALID_ARGUMENT, "consistency_token")


async def test_http_header_of_an_order_is_the_token_of_the_list(shop: Shop) -> None:
    """The list waits for it, and answers at once without it."""
    await stock(shop, A=1)
    async with opened(shop) as edge:
        placed = await edge.place()
        assert (await edge.list()).body["orders"] == []
        listing = edge.list(consistency_token=placed.headers["Consistency-Token"])
        found, _ = await asyncio.gather(listing, shop.catch_up())
    assert (placed.status, found.status) == (201, 200)
    assert [order["order_id"] for order in found.body["orders"]] == [placed.body["order_id"]]


async def test_http_list_behind_is_503_and_malformed_token_is_400(shop: Shop, impatient: None) -> None:
    """With the seconds to wait, and with the field."""
    await stock(shop, A=1)
    async with opened(shop) as edge:
        token = (await edge.place()).headers["Consistency-Token"]
        behind, invalid = await edge.list(consistency_token=token), await edge.list(consistency_token="none")
    assert (behind.status, behind.body["reason"]) == (503, "READ_MODEL_BEHIND")
    assert behind.headers["Retry-After"] == "1"
    assert (invalid.status, invalid.body["reason"]) == (400, "INVALID_CONSISTENCY_TOKEN")
    assert [problem["field"] for problem in invalid.body["errors"]] == ["consistency_token"]


async def test_an_order_is_read_with_its_token_and_with_no_other(shop: Shop) -> None:
    order, other = await sell(shop), await sell(shop)
    found = await shop.orders.get_order(GetOrder(order.customer_id, order.order_id, order.consistency_token))
    assert found == order
    with pytest.raises(InvalidField) as caught:
        await shop.orders.get_order(GetOrder(other.customer_id, order.order_id, other.consistency_token))
    assert (caught.value.field, caught.value.reason) == ("consistency_token", "INVALID_CONSISTENCY_TOKEN")


async def test_an_order_that_is_older_than_its_token_is_not_answered(shop: Shop) -> None:
    """A write that a failover lost: the token outlives it."""
    order = await sell(shop)
    async with shop.order_database.transaction("test") as transaction:
        await transaction.execute("UPDATE", "UPDATE orders SET version = version - 1")
    with pytest.raises(ReadModelBehind):
        await shop.orders.get_order(GetOrder(order.customer_id, order.order_id, order.consistency_token))


@pytest.mark.parametrize("mode", ["in_process"])
async def test_requests_that_wait_for_a_list_take_no_slots(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many lists as there are slots wait together, and other requests are served meanwhile."""
    monkeypatch.setattr(summaries, "MOST_WAIT_SECONDS", AMPLE_SECONDS)
    monkeypatch.setattr(summaries, "MOST_WAITING_PER_CUSTOMER", summaries.MOST_WAITING)
    await stock(shop, A=2)
    admission = AdmissionController(
        connections=POOL_SIZE,
        late_seconds=lambda: 0.0,
        telemetry=AdmissionTelemetry(shop.runtime.for_context("edge")),
    )
    async with opened(shop, admission=admission) as edge:
        token = (await edge.place()).headers["Consistency-Token"]
        waiting: list[asyncio.Task[Answer]] = []
        async with asyncio.timeout(AMPLE_SECONDS):
            while len(waiting) < admission.slots:
                waiting.append(asyncio.create_task(edge.list(consistency_token=token)))
                while admission.waiting < len(waiting):
                    assert not waiting[-1].done(), waiting[-1]
                    await asyncio.sleep(0.01)
        assert ((await edge.list()).status, (await edge.place()).status) == (200, 201)
        await shop.catch_up()
        answers = await asyncio.gather(*waiting)
    assert {answer.status for answer in answers} == {200}
