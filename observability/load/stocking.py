"""Stocking of the shop: idempotent deliveries over inventory's RPC, in chunks."""

import asyncio
import hashlib
from collections.abc import Sequence

import grpc
from google.type.money_pb2 import Money
from shop.inventory.v1 import inventory_service_pb2 as messages
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from observability.load.errors import LoadError
from observability.load.stock_plan import PlannedDelivery
from services.inventory.api import MAX_LINES

# Ignore HTTP_PROXY: gRPC between the services must not pass a web proxy.
DIRECT = (("grpc.enable_http_proxy", 0),)
_CURRENCY_CODE = "GBP"
_MINOR_UNITS = 100
_NANOS_A_MINOR_UNIT = 10_000_000


async def stock_shop(
    inventory_target: str,
    deliveries: Sequence[PlannedDelivery],
    *,
    request_id_prefix: str,
    timeout_seconds: float = 30.0,
) -> int:
    """Send the deliveries (each SKU once) to the inventory service at host:port and return the number of calls.

    A call's request id is the prefix and a hash of its content, so that repeated deliveries add nothing. Raises
    LoadError if the service cannot be reached within `timeout_seconds` or rejects a call.
    """
    calls = [
        _restock(deliveries[at : at + MAX_LINES], request_id_prefix) for at in range(0, len(deliveries), MAX_LINES)
    ]
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            grpc.aio.insecure_channel(inventory_target, options=DIRECT) as channel,
        ):
            stub = InventoryServiceStub(channel)
            for call in calls:
                await stub.Restock(call, timeout=timeout_seconds)
    except grpc.aio.AioRpcError as error:
        raise LoadError(
            f"cannot stock the shop: inventory at {inventory_target} answered {error.code().name}"
            f" ({error.details()}): is the platform up? Start it with `plumb up`, or give --no-stock"
        ) from error
    except TimeoutError as error:
        raise LoadError(f"stocking the shop at {inventory_target} took more than {timeout_seconds:g} s") from error
    return len(calls)


def _restock(deliveries: Sequence[PlannedDelivery], request_id_prefix: str) -> messages.RestockRequest:
    lines = [
        messages.Delivery(sku=each.sku, quantity=each.quantity, unit_price=_money(each.unit_price_minor))
        for each in deliveries
    ]
    content = "\n".join(f"{each.sku} {each.quantity} {each.unit_price_minor}" for each in deliveries)
    digest = hashlib.sha256(content.encode()).hexdigest()[:24]
    return messages.RestockRequest(request_id=f"{request_id_prefix}-{digest}", lines=lines)


def _money(minor_units: int) -> Money:
    units, rest = divmod(minor_units, _MINOR_UNITS)
    return Money(currency_code=_CURRENCY_CODE, units=units, nanos=rest * _NANOS_A_MINOR_UNIT)
