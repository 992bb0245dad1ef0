"""New servers behind one DNS name get calls once connections have an age, and none before their clients reconnect."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from shop.inventory.v1 import inventory_service_pb2 as pb
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from observability.telemetry.telemetry import unobserved
from services.infra.address import Address, parse_address
from services.infra.readiness import Readiness
from services.infra.rpc import client
from services.infra.rpc.server import RpcServer
from services.inventory import api
from services.inventory.rpc.server import SERVICE, InventoryServicer
from services.inventory.rpc.translate import ERRORS
from tests.contract.shop import open_admission
from tests.fakes.inventory import FakeInventory

HOSTS = ("127.0.0.1", "127.0.0.2")
# Ends early: as long as a machine with other work may take.
WAIT_SECONDS = 120.0
A_RECORD = b"\x00\x01"


class Names(asyncio.DatagramProtocol):
    """A DNS server that gives every name the same IPv4 addresses, and no others."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.questions = 0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        end = data.index(b"\x00", 12) + 5
        question, kind = data[12:end], data[end - 4 : end - 2]
        self.questions += 1
        answers = [
            b"\xc0\x0c" + A_RECORD + b"\x00\x01" + bytes(4) + b"\x00\x04" + socket.inet_aton(each)
            for each in self.addresses
            if kind == A_RECORD
        ]
        counts = b"\x00\x01" + len(answers).to_bytes(2, "big") + bytes(4)
        self._transport.sendto(data[:2] + b"\x85\x80" + counts + question + b"".join(answers), address)


class Counted(FakeInventory):
    """Counts the queries that it got."""

    queries = 0

    async def get_stock(self, query: api.GetStock) -> tuple[api.StockLevel, ...]:
        self.queries += 1
        return await super().get_stock(query)


async def start(host: str, port: int, shop: Counted, age_seconds: float | None) -> tuple[RpcServer, int]:
    telemetry, readiness = unobserved("test"), Readiness({})
    server = RpcServer(
        name="grpc",
        listen=Address(host, port),
        admission=open_admission(telemetry),
        readiness=readiness,
        connection_age_seconds=age_seconds,
    )
    server.add(SERVICE, InventoryServicer(shop).methods(), telemetry=telemetry, errors=ERRORS)
    return server, parse_address((await server.start())["grpc"]).port


@asynccontextmanager
async def two_servers(*shops: Counted, age_seconds: float | None) -> AsyncIterator[int]:
    """Serve on one port of both hosts; a port that only the first host has free is given back."""
    while True:
        first, port = await start(HOSTS[0], 0, shops[0], age_seconds)
        try:
            second, _ = await start(HOSTS[1], port, shops[1], age_seconds)
        except OSError:
            await first.stop(grace_seconds=0)
            continue
        break
    try:
        yield port
    finally:
        await asyncio.gather(first.stop(grace_seconds=0), second.stop(grace_seconds=0))


@asynccontextmanager
async def calls_by_name(names: Names, port: int) -> AsyncIterator[Any]:
    """Open a channel to a name that this DNS server resolves."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: names, local_addr=(HOSTS[0], 0))
    resolver = transport.get_extra_info("sockname")[1]
    try:
        async with client.open_channel(f"dns://127.0.0.1:{resolver}/inventory.test:{port}") as channel:
            yield InventoryServiceStub(channel)
    finally:
        transport.close()


@pytest.fixture(autouse=True)
def names_may_be_asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default gRPC asks for a name at most every 30 seconds."""
    options = (*client.OPTIONS, ("grpc.dns_min_time_between_resolutions_ms", 100))
    monkeypatch.setattr(client, "OPTIONS", options)


async def test_a_new_server_gets_calls_once_connections_have_an_age() -> None:
    old, new, names = Counted(), Counted(), Names(HOSTS[0])
    async with two_servers(old, new, age_seconds=1) as port, calls_by_name(names, port) as stub:
        await stub.GetStock(pb.GetStockRequest(skus=["A"]), timeout=WAIT_SECONDS)
        names.addresses = list(HOSTS)
        async with asyncio.timeout(WAIT_SECONDS):
            while not new.queries:
                await stub.GetStock(pb.GetStockRequest(skus=["A"]), timeout=WAIT_SECONDS)
                await asyncio.sleep(0.02)
    assert old.queries > 1


async def test_a_new_server_gets_no_call_over_connections_without_an_age() -> None:
    """What the age is for: nothing else makes a client ask for the name again."""
    old, new, names = Counted(), Counted(), Names(HOSTS[0])
    async with two_servers(old, new, age_seconds=None) as port, calls_by_name(names, port) as stub:
        await stub.GetStock(pb.GetStockRequest(skus=["A"]), timeout=WAIT_SECONDS)
        names.addresses, asked = list(HOSTS), names.questions
        async with asyncio.timeout(WAIT_SECONDS):
            for _ in range(25):
                await stub.GetStock(pb.GetStockRequest(skus=["A"]), timeout=WAIT_SECONDS)
                await asyncio.sleep(0.02)
    assert (new.queries, names.questions) == (0, asked)


async def test_no_call_fails_when_a_connection_ends_by_its_age() -> None:
    """Calls in flight are answered, and those that come are made on a new connection."""

    class Slow(Counted):
        async def get_stock(self, query: api.GetStock) -> tuple[api.StockLevel, ...]:
            await asyncio.sleep(0.5)
            return await super().get_stock(query)

    shop, names = Slow(), Names(HOSTS[0])
    async with two_servers(shop, Counted(), age_seconds=1) as port, calls_by_name(names, port) as stub:
        asked = 0
        async with asyncio.timeout(WAIT_SECONDS):
            while names.questions < 3:  # the connection has ended by its age
                calls = [stub.GetStock(pb.GetStockRequest(skus=["A"]), timeout=WAIT_SECONDS) for _ in range(3)]
                assert await asyncio.gather(*(call.code() for call in calls)) == [grpc.StatusCode.OK] * 3
                asked += 3
    assert shop.queries == asked
