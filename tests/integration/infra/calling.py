"""Servers and clients for tests of gRPC calls: they fail as a test wants, and record attempts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from shop.inventory.v1 import inventory_service_pb2 as pb

from observability.telemetry.rpc import PREVIOUS_ATTEMPTS
from observability.telemetry.telemetry import Telemetry, unobserved
from services.infra.address import Address
from services.infra.admission import AdmissionController
from services.infra.rpc.client import open_channel
from services.inventory import api
from services.inventory.rpc import translate
from services.inventory.rpc.client import InventoryClient
from services.inventory.rpc.server import SERVICE, InventoryServicer
from tests.contract.shop import open_server

LATE_SECONDS = 60.0
LOST = "not now"
METHOD = "shop.inventory.v1.InventoryService/GetStock"
QUERY = api.GetStock(("A",))
Answer = Callable[[bytes, Any], Awaitable[bytes]]


@dataclass(slots=True)
class Attempts:
    """A server that fails a set number of calls, and records the number of previous attempts that each call names."""

    failures: int
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    seen: list[str] = field(default_factory=list)

    async def answer(self, _request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        """Answer one attempt."""
        metadata = dict(context.invocation_metadata() or ())
        self.seen.append(str(metadata.get(PREVIOUS_ATTEMPTS, "")))
        if len(self.seen) <= self.failures:
            await context.abort(self.code, LOST)
        return pb.GetStockResponse().SerializeToString()


@asynccontextmanager
async def serving(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Answer all methods of inventory during a with block; yields host:port."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        name: grpc.unary_unary_rpc_method_handler(answer) for name in SERVICE.methods_by_name
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
    port = server.add_insecure_port(str(Address(host, 0)))
    await server.start()
    try:
        yield str(Address(host, port))
    finally:
        await server.stop(None)


@asynccontextmanager
async def calling(
    target: str, telemetry: Telemetry | None = None, *, guarded: bool = True
) -> AsyncIterator[InventoryClient]:
    """Call a target as order does, during a with block."""
    async with open_channel(target) as channel:
        yield InventoryClient(
            channel,
            target=target,
            telemetry=telemetry or unobserved("test"),
            guarded=guarded,
            call_seconds=LATE_SECONDS,  # a slow machine must not end a call
        )


@asynccontextmanager
async def real_server(
    inventory: api.InventoryService, telemetry: Telemetry, *, admission: AdmissionController | None = None
) -> AsyncIterator[str]:
    """Serve an inventory by the shop's own server during a with block."""
    server = open_server(telemetry, admission=admission)
    server.add(SERVICE, InventoryServicer(inventory).methods(), telemetry=telemetry, errors=translate.ERRORS)
    target = (await server.start())["grpc"]
    try:
        yield target
    finally:
        await server.stop(grace_seconds=0)
