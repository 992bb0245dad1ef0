"""Calls between a real client and a real server: retries, the retry budget, and gRPC's own limits."""

import asyncio
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from shop.inventory.v1 import inventory_service_pb2 as pb
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from observability.telemetry.admission import AdmissionTelemetry
from observability.telemetry.rpc import PREVIOUS_ATTEMPTS
from observability.telemetry.telemetry import Telemetry, unobserved
from services.infra import deadline
from services.infra.address import Address
from services.infra.admission import AdmissionController, DeadlineTooShort, Priority
from services.infra.circuit_breaker import Policy
from services.infra.readiness import Readiness
from services.infra.rpc.client import RpcClient, open_channel
from services.infra.rpc.server import MAX_MESSAGE_BYTES, RpcServer
from services.inventory import api
from services.inventory.rpc import translate
from services.inventory.rpc.client import InventoryClient
from services.inventory.rpc.server import SERVICE, InventoryServicer
from services.kernel.errors import CircuitOpen, DeadlineExceeded, Overloaded, ServiceError, Unavailable
from tests.contract.shop import LOOPBACK, open_server
from tests.fakes.inventory import FakeInventory
from tests.ipv6 import needs_ipv6
from tests.patience import PATIENCE_SECONDS
from tests.unit.telemetry.counted import counted, counting

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


# --- Repeats ----------------------------------------------------------------------------------------------------------


async def test_a_lost_call_is_retried_and_marked_as_a_retry() -> None:
    attempts = Attempts(failures=2)
    async with serving(attempts.answer) as target, calling(target) as client:
        await client.get_stock(QUERY)
    assert attempts.seen == ["", "1", "2"]


async def test_no_call_is_made_more_than_three_times() -> None:
    attempts = Attempts(failures=100)
    async with serving(attempts.answer) as target, calling(target) as client:
        with pytest.raises(Unavailable):
            await client.get_stock(QUERY)
    assert len(attempts.seen) == 3


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED]
)
async def test_a_call_that_reached_the_server_is_not_retried(code: grpc.StatusCode) -> None:
    attempts = Attempts(failures=100, code=code)
    async with serving(attempts.answer) as target, calling(target) as client:
        with pytest.raises(ServiceError):
            await client.get_stock(QUERY)
    assert len(attempts.seen) == 1


async def test_a_budget_ends_the_retries_to_a_server_that_is_down() -> None:
    """The naive loop makes three attempts at each call for as long as it lasts."""
    attempts = Attempts(failures=10_000)
    calls = 15
    async with serving(attempts.answer) as target, calling(target) as client:
        for _ in range(calls):
            with pytest.raises(Unavailable):
                await client.get_stock(QUERY)
    # Six failures take the tokens below half; from then on each call is one attempt.
    assert len(attempts.seen) <= calls + 6


async def test_without_a_budget_each_call_is_made_three_times() -> None:
    attempts = Attempts(failures=10_000)
    async with serving(attempts.answer) as target, open_channel(target, budget=False) as channel:
        client = InventoryClient(channel, target=target, telemetry=unobserved("test"), guarded=False)
        for _ in range(5):
            with pytest.raises(Unavailable):
                await client.get_stock(QUERY)
    assert len(attempts.seen) == 15


class WithoutDatabase(FakeInventory):
    """An inventory that is there, while what it needs is not."""

    asked = 0

    async def get_stock(self, query: api.GetStock) -> tuple[api.StockLevel, ...]:
        """Find that there is no database."""
        self.asked += 1
        raise Unavailable(1.0)


async def test_a_server_whose_dependency_is_down_forbids_retries() -> None:
    inventory = WithoutDatabase()
    async with real_server(inventory, unobserved("test")) as target, calling(target) as client:
        with pytest.raises(Unavailable):
            await client.get_stock(QUERY)
    assert inventory.asked == 1


async def test_no_first_attempt_is_counted_as_a_repeat() -> None:
    telemetry = counting("inventory")
    async with real_server(FakeInventory(), telemetry) as target, calling(target) as client:
        await client.get_stock(QUERY)
    assert not counted(telemetry, "shop_rpc_server_repeated_attempts_total", context="inventory", rpc_method=METHOD)


async def test_a_repeat_is_counted_where_it_arrives() -> None:
    """The first attempt ends in a server of the test, which is none of ours; the second is answered by ours."""
    telemetry = counting("inventory")
    attempts = Attempts(failures=10_000)
    async with (
        serving(attempts.answer) as lost,
        real_server(FakeInventory(), telemetry) as target,
        calling(f"{lost},{target}") as client,
    ):
        # The two take turns: a call that begins at the first ends at the second.
        for _ in range(4):
            await client.get_stock(QUERY)
    repeats = counted(telemetry, "shop_rpc_server_repeated_attempts_total", context="inventory", rpc_method=METHOD)
    # One that came to the first again, before there was a connection to ours, is the same call.
    assert repeats == attempts.seen.count("") > 0


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_calls_take_turns_between_several_targets(host: str) -> None:
    one, other = Attempts(failures=0), Attempts(failures=0)
    async with (
        serving(one.answer, host) as first,
        serving(other.answer, host) as second,
        calling(f"{first},{second}") as client,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        # The second may take longer to connect to.
        while not (one.seen and other.seen):
            await client.get_stock(QUERY)


def full_admission() -> AdmissionController:
    """Return the admission controller of a server without capacity."""
    telemetry = AdmissionTelemetry(counting("inventory"))
    return AdmissionController(connections=1, late_seconds=lambda: LATE_SECONDS, telemetry=telemetry)


def slow_admission() -> AdmissionController:
    """Return the admission controller of a server that is slower than any deadline."""
    now = 0.0
    telemetry = AdmissionTelemetry(counting("inventory"))
    slow = AdmissionController(connections=1, late_seconds=lambda: 0.0, telemetry=telemetry, clock=lambda: now)
    with slow.admit(METHOD, Priority.READ, stage="grpc", remaining_seconds=LATE_SECONDS):
        now = LATE_SECONDS
    return slow


@pytest.mark.parametrize(
    ("make_admission", "first", "repeated"),
    [(full_admission, Overloaded(1.0), Unavailable(1.0)), (slow_admission, DeadlineTooShort(), DeadlineExceeded())],
)
async def test_a_rejected_repeat_may_have_been_processed_before(
    make_admission: Callable[[], AdmissionController], first: ServiceError, repeated: ServiceError
) -> None:
    """The attempt before it may have been, and the caller knows of one call alone."""
    attempts = Attempts(failures=10_000)
    async with (
        serving(attempts.answer) as lost,
        real_server(FakeInventory(), unobserved("test"), admission=make_admission()) as target,
        # A guard would reject some calls itself after so many rejections.
        calling(f"{lost},{target}", guarded=False) as client,
    ):
        endings = []
        for _ in range(8):
            firsts = attempts.seen.count("")
            with pytest.raises(ServiceError) as caught:
                await client.get_stock(QUERY)
            assert isinstance(caught.value.__cause__, grpc.aio.AioRpcError)
            endings.append((attempts.seen.count("") > firsts, caught.value.__cause__.details()))
    # One that begins at the lost server ends at ours, or was repeated there; one that begins at ours ends there.
    assert set(endings) - {(True, LOST)} == {(True, str(repeated)), (False, str(first))}


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


# --- Guards -----------------------------------------------------------------------------------------------------------


async def ending_of(call: Awaitable[object]) -> type[ServiceError] | None:
    """Say with which error a call ended, if it did."""
    try:
        await call
    except ServiceError as error:
        return type(error)
    return None


async def test_a_server_that_is_down_is_left_alone_after_a_while() -> None:
    telemetry = counting("order")
    attempts = Attempts(failures=10_000)
    async with serving(attempts.answer) as target, calling(target, telemetry) as client:
        client._rpc._guard._breaker.policy = Policy(
            open_seconds=PATIENCE_SECONDS, longest_open_seconds=PATIENCE_SECONDS
        )
        endings = [await ending_of(client.get_stock(QUERY)) for _ in range(100)]
        opened = endings.index(CircuitOpen)
        assert set(endings[:opened]) == {Unavailable}
        made = len(attempts.seen)
        assert [await ending_of(client.get_stock(QUERY)) for _ in range(10)] == [CircuitOpen] * 10
        with pytest.raises(CircuitOpen):
            client.check()
    assert len(attempts.seen) == made
    assert counted(telemetry, "shop_circuit_breaker_state", context="order", dependency=SERVICE.full_name, state="open")


async def test_two_servers_take_turns_and_one_of_them_is_enough() -> None:
    first, second = Attempts(failures=0), Attempts(failures=0)
    async with serving(first.answer) as one, serving(second.answer) as other, calling(f"{one},{other}") as client:
        for _ in range(10):
            await client.get_stock(QUERY)
        assert first.seen
        assert second.seen


async def test_no_call_fails_when_one_of_two_servers_ends() -> None:
    first, second = Attempts(failures=0), Attempts(failures=0)
    async with AsyncExitStack() as second_runs, serving(first.answer) as one:
        other = await second_runs.enter_async_context(serving(second.answer))
        async with calling(f"{one},{other}") as client:
            for _ in range(10):
                await client.get_stock(QUERY)
            assert second.seen
            await second_runs.aclose()
            before = len(first.seen)
            for _ in range(10):
                await client.get_stock(QUERY)
            assert len(first.seen) == before + 10


# --- What gRPC refuses by itself --------------------------------------------------------------------------------------

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


def test_client_spans_name_the_first_of_several_targets() -> None:
    client = RpcClient(
        target="one:1,two:2", service="some.Service", telemetry=unobserved("test"), errors=translate.ERRORS
    )
    assert client._address == Address("one", 1)
