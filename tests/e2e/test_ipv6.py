"""Tests of IPv6: services listen on [::1] and call each other there."""

import aiohttp
import pytest

from tests.e2e.customers import ANSWER_SECONDS, Customer
from tests.e2e.services import Services
from tests.ipv6 import needs_ipv6


@pytest.mark.full
@needs_ipv6
async def test_an_order_goes_through_services_on_the_ipv6_loopback(services: Services) -> None:
    inventory = services.inventory(INVENTORY_GRPC_LISTEN="[::1]:0", INVENTORY_ADMIN_LISTEN="[::1]:0")
    order = services.order(
        inventory_target=inventory.addresses["grpc"],
        ORDER_GRPC_LISTEN="[::1]:0",
        ORDER_HTTP_LISTEN="[::1]:0",
        ORDER_ADMIN_LISTEN="[::1]:0",
    )
    addresses = [*inventory.addresses.values(), *order.addresses.values()]
    assert all(address.startswith("[::1]:") for address in addresses), addresses
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session:
        placed = await Customer(session, order.addresses["http"]).buy()
        assert placed.status == 201, placed.body
        async with session.get(f"http://{order.addresses['admin']}/readyz") as ready:
            assert ready.status == 200
