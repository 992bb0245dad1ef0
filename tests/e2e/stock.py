"""Stock for the tests: a few SKUs with plenty, and one with little."""

from uuid import uuid4

import grpc
from google.type.money_pb2 import Money
from shop.inventory.v1 import inventory_service_pb2 as messages
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from tests.patience import PATIENCE_SECONDS

PLENTY = ("85123A", "22423", "47566", "84879", "22720")
SHORT = "20685"
SHORT_QUANTITY = 3
UNIT_PRICE = Money(currency_code="GBP", units=2, nanos=550_000_000)


async def fill_shelves(inventory_target: str) -> None:
    """Deliver the stock to the inventory service at host:port, by its own RPC."""
    lines = [messages.Delivery(sku=sku, quantity=1_000_000, unit_price=UNIT_PRICE) for sku in PLENTY]
    lines.append(messages.Delivery(sku=SHORT, quantity=SHORT_QUANTITY, unit_price=UNIT_PRICE))
    async with grpc.aio.insecure_channel(inventory_target) as channel:
        request = messages.RestockRequest(request_id=str(uuid4()), lines=lines)
        await InventoryServiceStub(channel).Restock(request, timeout=PATIENCE_SECONDS)
