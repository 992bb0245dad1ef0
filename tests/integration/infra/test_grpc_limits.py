"""What gRPC itself limits and refuses, and what a caller sees of it."""

import asyncio
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from shop.inventory.v1 import inventory_service_pb2 as pb
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from observability.telemetry.admission import AdmissionTelemetry
from observability.telemetry.telemetry import unobserved
from services.infra import deadline
from services.infra.admission import AdmissionController
from services.infra.readiness import Readiness
from services.infra.rpc.server import MAX_MESSAGE_BYTES, RpcServer
from services.inventory import api
from services.inventory.rpc import translate
from services.inventory.rpc.server import SERVICE, InventoryServicer
from services.kernel.errors import DeadlineExceeded, ServiceError, Unavailable
from tests.contract.shop import LOOPBACK
from tests.fakes.inventory import FakeInventory
from tests.integration.infra.calling import QUERY, Attempts, calling, real_server, serving
from tests.patience import PATIENCE_SECONDS

# A server whose handlers keep the processor busy, so that calls wait where Python does not see them.
BUSY = textwrap.dedent(
    """
    import asyncio, sys, time
    from observability.telemetry.telemetry import unobserved
    from services.inventory.rpc.server import SERVICE, InventoryServicer
    from services.inventory.rpc.translate import ERRORS
    from tests.contract.shop import open_server
    from tests.fakes.inventory import FakeInventory

    class Busy(FakeInventory):
        async def get_stock(self, query):
            time.sleep(0.01)
            return await super().get_stock(query)

    async def main():
        telemetry = unobserved("busy")
        server = open_server(telemetry)
        server.add(SERVICE, InventoryServicer(Busy()).methods(), telemetry=telemetry, errors=ERRORS)
        print((await server.start())["grpc"], flush=True)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(main())
    """
)


@asynccontextmanager
async def busy_server() -> AsyncIterator[str]:
    """Run it in a process of its own during a with block."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


async def test_calls_that_wait_inside_grpc_are_limited() -> None:
    """The options and what a caller sees of them are documented nowhere: this test is what would tell of a change."""
    codes: list[grpc.StatusCode] = []
    async with busy_server() as target, grpc.aio.insecure_channel(target) as channel:
        stub = InventoryServiceStub(channel)

        async def call() -> None:
            try:
                await stub.GetStock(pb.GetStockRequest(skus=["A"]), timeout=PATIENCE_SECONDS)
                codes.append(grpc.StatusCode.OK)
            except grpc.aio.AioRpcError as error:
                codes.append(error.code())

        await asyncio.gather(*(call() for _ in range(600)))
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}
    assert codes.count(grpc.StatusCode.OK) > 64


async def test_a_message_is_limited_by_its_size_after_decompression() -> None:
    """A few hundred bytes on the wire may be any number of them in memory."""
    inventory = FakeInventory()
    async with (
        real_server(inventory, unobserved("test")) as target,
        grpc.aio.insecure_channel(target, compression=grpc.Compression.Gzip) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await InventoryServiceStub(channel).GetStock(pb.GetStockRequest(skus=["A" * (MAX_MESSAGE_BYTES + 1)]))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in str(caught.value.details())
    assert not inventory.calls


@pytest.mark.parametrize("code", [grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_a_rejection_by_grpc_may_have_been_processed(code: grpc.StatusCode) -> None:
    """An attempt before may have been begun, and a response that is too large to be read is of a call that was done."""
    attempts = Attempts(failures=1, code=code)
    async with serving(attempts.answer) as target, calling(target) as client:
        with pytest.raises(ServiceError) as caught:
            await client.get_stock(QUERY)
    assert type(caught.value) is Unavailable


async def test_a_response_that_is_too_large_claims_nothing() -> None:
    """The server has done the call."""

    async def answer(_request: bytes, _context: Any) -> bytes:
        return bytes(MAX_MESSAGE_BYTES + 1)

    async with serving(answer) as target, calling(target) as client:
        with pytest.raises(ServiceError) as caught:
            await client.get_stock(QUERY)
    assert type(caught.value) is Unavailable


async def test_our_own_cancellation_is_one() -> None:
    async def hang(_request: bytes, _context: Any) -> bytes:
        await asyncio.sleep(60)
        return Empty().SerializeToString()

    async with serving(hang) as target, calling(target) as client:
        task = asyncio.create_task(client.get_stock(QUERY))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_call_takes_what_is_left_of_the_deadline() -> None:
    remaining: list[float] = []

    async def note(_request: bytes, context: Any) -> bytes:
        remaining.append(context.time_remaining())
        return pb.GetStockResponse().SerializeToString()

    async with serving(note) as target, calling(target) as client:
        with deadline.within(deadline.DEFAULT_SECONDS / 2):
            await client.get_stock(QUERY)
        await client.get_stock(QUERY)
    # What gRPC gives is some milliseconds off.
    assert 0 < remaining[0] < deadline.DEFAULT_SECONDS / 2 < remaining[1] < deadline.DEFAULT_SECONDS + 1


async def test_a_deadline_that_is_too_short_is_answered_as_such() -> None:
    """By the server, at once; it used to say that it has no capacity."""

    class Slow(FakeInventory):
        async def get_stock(self, query: api.GetStock) -> tuple[api.StockLevel, ...]:
            await asyncio.sleep(0.5)
            return await super().get_stock(query)

    telemetry = unobserved("test")
    admission = AdmissionController(connections=4, late_seconds=lambda: 0.0, telemetry=AdmissionTelemetry(telemetry))
    server = RpcServer(name="grpc", listen=LOOPBACK, admission=admission, readiness=Readiness({}))
    server.add(SERVICE, InventoryServicer(Slow()).methods(), telemetry=telemetry, errors=translate.ERRORS)
    async with grpc.aio.insecure_channel((await server.start())["grpc"]) as channel:
        get_stock = InventoryServiceStub(channel).GetStock
        await get_stock(pb.GetStockRequest(skus=["A"]), timeout=30.0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get_stock(pb.GetStockRequest(skus=["A"]), timeout=0.4)
    await server.stop(grace_seconds=0)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert isinstance(translate.ERRORS.from_call(caught.value), DeadlineExceeded)
