"""Tests of the shop's answers against its databases: a real shop, both APIs, and the consistency checker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg
import pytest

from observability.chaos.consistency_checker import check_lists_are_current, find_contradictions
from observability.chaos.database_snapshot import read_orders
from observability.chaos.history import History
from observability.telemetry.admission import AdmissionTelemetry
from observability.testbed.api_clients import ApiClient, GrpcApiClient, RestApiClient, open_api_clients
from observability.testbed.requests import CancelRequest, PlaceRequest, Request, RequestedLine, Response
from services.edge.server import edge_server
from services.infra.admission import AdmissionController
from services.infra.circuit_breaker import Policy
from services.inventory.api import GetStock
from services.inventory.rpc.client import InventoryClient
from services.kernel.errors import CircuitOpen, ServiceError
from services.order.rpc.client import OrderClient
from tests.contract.shop import LOOPBACK, POOL_SIZE, Shop, open_shop, stock
from tests.patience import PATIENCE_SECONDS
from tests.postgres import PostgresServer

DEADLINE_SECONDS = 10.0
LATE_SECONDS = 60.0


@dataclass(slots=True)
class Customers:
    """A shop with admission control, both APIs, and the history of all answers."""

    shop: Shop
    rest: ApiClient
    grpc: ApiClient
    history: History = field(default_factory=History)
    late_seconds: float = 0.0
    customer_id: str = field(default_factory=lambda: str(uuid4()))

    async def send(self, api: ApiClient, request: Request) -> Response:
        """Send a request once."""
        sent_seconds = self.history.seconds()
        answer = await api.send(request, seconds=DEADLINE_SECONDS)
        self.history.record(request, api.name, sent_seconds, answer)
        return answer

    async def until_known(self, api: ApiClient, request: Request) -> Response:
        """Repeat a request until its outcome is known."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (answer := await self.send(api, request)).known:
                await asyncio.sleep(0.05)
        return answer

    def place(self) -> PlaceRequest:
        """Return a request for one unit."""
        return PlaceRequest(uuid4().hex, self.customer_id, (RequestedLine("A", 1),))

    async def find_contradictions(self) -> list[str]:
        """Finish every order, and return what the consistency checker finds."""
        await self.shop.settle()
        return find_contradictions(
            self.history.exchanges, await read_orders(self.shop.dsns, since=self.history.began_time)
        )


@pytest.fixture
async def customers(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Customers]:
    """Open a shop whose order and inventory speak gRPC, with both APIs."""
    async with open_shop("grpc", postgres_server.dsns) as shop:
        assert isinstance(shop.orders, OrderClient)
        admission = AdmissionController(
            connections=POOL_SIZE,
            late_seconds=lambda: found.late_seconds,
            telemetry=AdmissionTelemetry(shop.runtime.for_context("edge")),
        )
        server = edge_server(
            orders=shop.parts.application,
            inventory=shop.inventory,
            admission=admission,
            runtime=shop.runtime,
            listen=LOOPBACK,
            request_deadline_seconds=DEADLINE_SECONDS,
        )
        target = (await server.start())["http"]
        try:
            async with open_api_clients(edge_http=target, order_grpc="127.0.0.1:1") as (rest, _):
                assert isinstance(rest, RestApiClient)
                found = Customers(shop, rest, GrpcApiClient(shop.orders))
                await stock(shop, A=50)
                yield found
        finally:
            await server.stop(grace_seconds=1)


@asynccontextmanager
async def inventory_unavailable(shop: Shop) -> AsyncIterator[None]:
    """Make inventory fail during a with block, with its breaker open."""
    assert isinstance(shop.inventory, InventoryClient)
    shop.inventory._rpc._guard._breaker.policy = Policy(open_seconds=LATE_SECONDS, longest_open_seconds=LATE_SECONDS)
    connection = await asyncpg.connect(shop.inventory_dsn)
    try:
        await connection.execute("ALTER TABLE items RENAME TO items_away")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await is_open(shop):
                pass
        yield
    finally:
        await connection.execute("ALTER TABLE items_away RENAME TO items")
        await connection.close()
        shop.inventory._rpc._guard._breaker._until = 0.0  # closes the breaker


async def is_open(shop: Shop) -> bool:
    """Call inventory, and return whether the breaker rejected the call."""
    try:
        await shop.inventory.get_stock(GetStock(("A",)))
    except ServiceError as error:
        return isinstance(error, CircuitOpen)
    return False


async def test_a_stored_order_is_not_denied_in_an_outage(customers: Customers) -> None:
    """A repeat is answered, a cancellation is accepted, and a new order leaves nothing."""
    sold, new = customers.place(), customers.place()
    order_id = (await customers.send(customers.grpc, sold)).order_id
    cancel = CancelRequest(uuid4().hex, customers.customer_id, order_id)
    async with inventory_unavailable(customers.shop):
        repeated = await customers.send(customers.grpc, sold)
        wished = await customers.send(customers.rest, cancel)
        again = await customers.send(customers.grpc, cancel)
        refused = await customers.send(customers.grpc, new)
    await customers.until_known(customers.grpc, sold)
    await customers.until_known(customers.rest, cancel)
    await customers.until_known(customers.grpc, new)
    assert await customers.find_contradictions() == []
    assert (repeated.state, wished.cancellation_requested, again) == ("CONFIRMED", True, wished)
    assert refused.reason == "CIRCUIT_OPEN"


async def test_a_list_holds_what_its_token_says(customers: Customers) -> None:
    """Over both APIs; while the read model is behind, the list is an error."""
    answer = await customers.send(customers.rest, customers.place())
    behind = await customers.rest.find_in_list(customers.customer_id, answer, seconds=DEADLINE_SECONDS)
    await customers.shop.catch_up()
    listings = [await edge.find_in_list(customers.customer_id, answer) for edge in (customers.rest, customers.grpc)]
    assert list(check_lists_are_current([behind, *listings])) == []
    assert [behind.reason, *(listing.state for listing in listings)] == [
        "READ_MODEL_BEHIND",
        "CONFIRMED",
        "CONFIRMED",
    ]


async def test_a_rejected_request_was_not_begun(customers: Customers) -> None:
    """Admission control rejects it before any work, so a repeat is safe."""
    request = customers.place()
    customers.late_seconds = LATE_SECONDS
    assert (await customers.send(customers.rest, request)).reason == "OVERLOADED"
    customers.late_seconds = 0.0
    await customers.until_known(customers.rest, request)
    assert await customers.find_contradictions() == []
