"""Tests of stocking: deliveries reach inventory in calls that it accepts, and once."""

from collections.abc import AsyncIterator

import grpc
import pytest
from shop.inventory.v1 import inventory_service_pb2 as messages

from observability.load.errors import LoadError
from observability.load.stock_plan import PlannedDelivery
from observability.load.stocking import stock_shop

DELIVERIES = [PlannedDelivery(str(10_000 + number), number, 205) for number in range(3_001)]


class Shelf:
    """Adds up the deliveries, each request id once, as the contract says."""

    def __init__(self) -> None:
        self.calls: list[messages.RestockRequest] = []
        self.units: dict[str, int] = {}
        self._seen: set[str] = set()

    async def restock(self, request: messages.RestockRequest, _context: object) -> messages.RestockResponse:
        """Add the deliveries."""
        self.calls.append(request)
        if request.request_id not in self._seen:
            self._seen.add(request.request_id)
            for line in request.lines:
                self.units[line.sku] = self.units.get(line.sku, 0) + line.quantity
        return messages.RestockResponse()


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, Shelf]]:
    server, shelf = grpc.aio.server(), Shelf()
    handler = grpc.unary_unary_rpc_method_handler(
        shelf.restock,
        request_deserializer=messages.RestockRequest.FromString,
        response_serializer=messages.RestockResponse.SerializeToString,
    )
    name = messages.DESCRIPTOR.services_by_name["InventoryService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Restock": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}", shelf
    await server.stop(None)


async def test_every_delivery_arrives_in_calls_of_at_most_1500_lines(served: tuple[str, Shelf]) -> None:
    target, shelf = served
    assert await stock_shop(target, DELIVERIES, request_id_prefix="demo") == 3
    assert [len(call.lines) for call in shelf.calls] == [1_500, 1_500, 1]
    assert shelf.units == {each.sku: each.quantity for each in DELIVERIES}


async def test_bringing_the_same_again_adds_nothing(served: tuple[str, Shelf]) -> None:
    target, shelf = served
    for _ in range(2):
        await stock_shop(target, DELIVERIES, request_id_prefix="demo")
    assert shelf.units == {each.sku: each.quantity for each in DELIVERIES}


async def test_bringing_something_else_is_another_request(served: tuple[str, Shelf]) -> None:
    target, shelf = served
    for quantity in (1, 2):
        await stock_shop(target, [PlannedDelivery("22633", quantity, 205)], request_id_prefix="demo")
    assert shelf.units == {"22633": 3}


async def test_the_price_is_sent_in_pounds_and_pence(served: tuple[str, Shelf]) -> None:
    target, shelf = served
    await stock_shop(target, [PlannedDelivery("22633", 1, 205)], request_id_prefix="demo")
    price = shelf.calls[0].lines[0].unit_price
    assert (price.currency_code, price.units, price.nanos) == ("GBP", 2, 50_000_000)


async def test_an_unreachable_inventory_is_a_clear_error() -> None:
    with pytest.raises(LoadError, match="plumb up"):
        await stock_shop("127.0.0.1:1", DELIVERIES[:1], request_id_prefix="demo", timeout_seconds=5)
