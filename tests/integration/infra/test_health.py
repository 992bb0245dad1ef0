"""Health and reflection of the gRPC server: bounded streams, a drain that does not wait for them, keepalive pings."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from shop.inventory.v1 import inventory_service_pb2 as pb
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from observability.telemetry.telemetry import unobserved
from services.infra.address import Address
from services.infra.readiness import Readiness
from services.infra.rpc.client import open_channel
from services.infra.rpc.health import Health
from services.infra.rpc.keepalive import LEAST_SECONDS_BETWEEN_PINGS, PING_SECONDS
from services.infra.rpc.server import MAX_CONCURRENT_CALLS, RpcServer
from services.infra.rpc.streams import MAX_STREAMS
from services.inventory.rpc.server import SERVICE, InventoryServicer
from services.inventory.rpc.translate import ERRORS
from tests.contract.shop import open_admission
from tests.fakes.inventory import FakeInventory

# Ends early: as long as a machine with other work may take.
WAIT_SECONDS = 60.0
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
Open = Callable[[grpc.aio.Channel], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Running:
    """A real server, and what it tells of."""

    server: RpcServer
    readiness: Readiness
    target: str


@asynccontextmanager
async def serving() -> AsyncIterator[Running]:
    """Serve during a with block, ready."""
    telemetry, readiness = unobserved("test"), Readiness({})
    server = RpcServer(
        name="grpc", listen=Address("127.0.0.1", 0), admission=open_admission(telemetry), readiness=readiness
    )
    server.add(SERVICE, InventoryServicer(FakeInventory()).methods(), telemetry=telemetry, errors=ERRORS)
    target = (await server.start())["grpc"]
    readiness.serve()
    try:
        yield Running(server, readiness, target)
    finally:
        await server.stop(grace_seconds=0)


def health(channel: grpc.aio.Channel) -> Any:
    """Return a stub, of which no types are known."""
    return HealthStub(channel)


async def watch(channel: grpc.aio.Channel) -> Any:
    """Open a Watch and read the first status."""
    stream = health(channel).Watch(HealthCheckRequest())
    await stream.read()
    return stream


class OneQuestion:
    """Asks for the services, and then nothing more until the end."""

    def __init__(self) -> None:
        self._is_asked = False
        self.end = asyncio.Event()

    def __aiter__(self) -> "OneQuestion":
        """Return itself."""
        return self

    async def __anext__(self) -> ServerReflectionRequest:
        """Ask once."""
        if self._is_asked:
            await self.end.wait()
            raise StopAsyncIteration
        self._is_asked = True
        return ServerReflectionRequest(list_services="")


def reflect(version: str) -> Open:
    """Return what opens a stream of reflection, and asks one question."""

    async def open_stream(channel: grpc.aio.Channel) -> Any:
        method: Any = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=ServerReflectionRequest.SerializeToString,
            response_deserializer=ServerReflectionResponse.FromString,
        )
        question = OneQuestion()
        stream = method(question)
        try:
            await stream.read()
        except grpc.aio.AioRpcError:
            question.end.set()
            raise
        return stream

    return open_stream


STREAMS: dict[str, Open] = {
    "watch": watch,
    "reflection-v1": reflect("v1"),
    "reflection-v1alpha": reflect("v1alpha"),
}


@pytest.mark.parametrize("kind", STREAMS)
async def test_open_streams_leave_the_port_open(kind: str) -> None:
    """Streams beyond a small limit are refused, and calls are answered beside those that are open."""
    async with serving() as running, grpc.aio.insecure_channel(running.target) as channel:
        streams, refusals = [], set()
        async with asyncio.timeout(WAIT_SECONDS):
            for _ in range(MAX_CONCURRENT_CALLS + 1):
                try:
                    streams.append(await STREAMS[kind](channel))
                except grpc.aio.AioRpcError as error:
                    refusals.add(error.code())
            await InventoryServiceStub(channel).GetStock(pb.GetStockRequest(skus=["A"]))
        assert len(streams) == MAX_STREAMS
        # The client says INTERNAL where its question and the refusal crossed.
        assert (
            grpc.StatusCode.RESOURCE_EXHAUSTED
            in refusals
            <= {
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                grpc.StatusCode.INTERNAL,
            }
        )


@pytest.mark.parametrize("kind", STREAMS)
async def test_open_streams_do_not_make_the_drain_longer(kind: str) -> None:
    """The server stops long before its grace is over."""
    async with serving() as running, grpc.aio.insecure_channel(running.target) as channel:
        _stream = await STREAMS[kind](channel)
        running.readiness.drain()
        await running.server.announce_drain()
        async with asyncio.timeout(WAIT_SECONDS):
            await running.server.stop(grace_seconds=10 * WAIT_SECONDS)


async def test_a_watch_gets_the_drain_before_it_ends() -> None:
    async with serving() as running, grpc.aio.insecure_channel(running.target) as channel:
        stream = health(channel).Watch(HealthCheckRequest())
        told = [(await stream.read()).status]
        running.readiness.drain()
        told.append((await stream.read()).status)
        assert told == [SERVING, NOT_SERVING]
        assert await stream.read() is grpc.aio.EOF


async def test_a_drain_that_begins_while_a_status_is_written_is_told() -> None:
    """The write may take long, since the client reads slowly."""
    readiness, told = Readiness({}), []

    class SlowClient:
        """The context of a call: the process begins to drain during the first write."""

        async def write(self, response: HealthCheckResponse) -> None:
            """Take a status."""
            told.append(response.status)
            readiness.drain()

    readiness.serve()
    context: Any = SlowClient()
    async with asyncio.timeout(WAIT_SECONDS):
        await Health(readiness=readiness, services=()).Watch(HealthCheckRequest(), context)
    assert told == [SERVING, NOT_SERVING]


async def test_health_reports_readiness() -> None:
    """Of the server as a whole and of each service; a service that is not here is NOT_FOUND, or UNKNOWN to a Watch."""
    async with serving() as running, grpc.aio.insecure_channel(running.target) as channel:
        stub = health(channel)
        for service in ("", SERVICE.full_name):
            assert (await stub.Check(HealthCheckRequest(service=service))).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(HealthCheckRequest(service="nobody"))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        unknown = await stub.Watch(HealthCheckRequest(service="nobody")).read()
        assert unknown.status == HealthCheckResponse.SERVICE_UNKNOWN


def test_servers_allow_more_pings_than_channels_send() -> None:
    assert LEAST_SECONDS_BETWEEN_PINGS < PING_SECONDS


@pytest.mark.full
async def test_a_server_does_not_hang_up_on_a_channel_that_pings() -> None:
    """A channel without calls stays connected for the time of six pings; gRPC's own limits end it at the fourth."""
    async with serving() as running, open_channel(running.target) as channel:
        await health(channel).Check(HealthCheckRequest())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(6.5 * PING_SECONDS):
                await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
