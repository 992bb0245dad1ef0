"""Tests of SIGTERM under load: no answered order is lost while a process ends."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import aiohttp
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from services.local.platform.endpoints import Endpoints
from tests.e2e.customers import ANSWER_SECONDS, Customer
from tests.e2e.services import Services

CUSTOMERS = 8
ORDERS_BEFORE = 40
KEEP_IT = "respond-async"


def a_connection_each() -> aiohttp.ClientSession:
    """Open a connection for each request: on a kept one, a request and the server's closing may cross on the way."""
    connector = aiohttp.TCPConnector(force_close=True)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))


async def order_until_refused(customer: Customer, statuses: list[int]) -> None:
    """Place orders until the edge accepts no connection, noting each answer; a request without one is a failure."""
    while True:
        try:
            statuses.append((await customer.place()).status)
        except aiohttp.ClientConnectorError:
            return  # nobody listens any more: no request was sent


@pytest.mark.parametrize("mode", ["order", pytest.param("monolith", marks=pytest.mark.full)])
async def test_sigterm_fails_no_request_in_flight(services: Services, mode: str) -> None:
    """Every request that was sent is answered, with the order taken, and the process exits 0."""
    service = services.order() if mode == "order" else services.monolith()
    statuses: list[int] = []
    async with a_connection_each() as session:
        customers = [
            asyncio.create_task(order_until_refused(Customer(session, service.addresses["http"]), statuses))
            for _ in range(CUSTOMERS)
        ]
        async with asyncio.timeout(ANSWER_SECONDS):
            while len(statuses) < ORDERS_BEFORE:
                await asyncio.sleep(0.01)
        status = await asyncio.to_thread(service.stop)
        await asyncio.gather(*customers)
    assert status == 0
    assert set(statuses) <= {201, 202}  # kept, where a call to inventory took too long
    # Each line of the log is JSON, to the last.
    assert (service.events()[0], service.events()[-1]) == ("process.started", "process.drained")


async def test_an_open_watch_does_not_hold_up_the_drain(services: Services) -> None:
    """The grace for calls in flight, which a stream would take up, is as long as the test waits."""
    service = services.order()
    async with grpc.aio.insecure_channel(service.addresses["grpc"]) as channel:
        health: Any = HealthStub(channel)
        stream = health.Watch(HealthCheckRequest())
        told = [(await stream.read()).status]
        stopping = asyncio.create_task(asyncio.to_thread(service.stop))
        async with asyncio.timeout(ANSWER_SECONDS):
            while (answer := await stream.read()) is not grpc.aio.EOF:
                told.append(answer.status)
        assert await stopping == 0
    assert told == [HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING]
    assert service.events()[-1] == "process.drained"


async def order_each(customer: Customer, keys: Iterator[str]) -> set[int]:
    """Place one order after the other under the keys that nobody has taken yet; return what was answered."""
    return {(await customer.place(key=key, prefer=KEEP_IT)).status for key in keys}


@pytest.mark.full
async def test_orders_survive_the_end_of_inventory(services: Services, shop: Endpoints) -> None:
    """While inventory ends, orders are confirmed or kept, as is asked for; with inventory back each is confirmed."""
    inventory = services.inventory()
    target = inventory.addresses["grpc"]
    order = services.order(inventory_target=target)
    keys = [str(uuid4()) for _ in range(30)]
    async with a_connection_each() as session:
        customer = Customer(session, order.addresses["http"])
        waiting = iter(keys)
        customers = [asyncio.create_task(order_each(customer, waiting)) for _ in range(CUSTOMERS)]
        stopping = asyncio.create_task(asyncio.to_thread(inventory.stop))
        statuses = set[int]().union(*await asyncio.gather(*customers))
        assert await stopping == 0
        assert statuses <= {201, 202}
        services.inventory(port=int(target.rpartition(":")[2]))
        async with asyncio.timeout(ANSWER_SECONDS):
            for key in keys:
                # Inventory is called again some seconds after it is back, and the order is kept until then.
                while (repeat := await customer.place(key=key, prefer=KEEP_IT)).status == 202:
                    await asyncio.sleep(0.05)
                assert repeat.status == 201
