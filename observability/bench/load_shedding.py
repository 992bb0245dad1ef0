"""Benchmark of load shedding: CPU of the server, or of the caller, for one rejection by each layer.

The databases' tables are locked, so that all slots stay taken: every further request is rejected, and the processes do
hardly anything else. The requests are reads, the cheapest that a rejection can save. For comparison, the same read is
measured where it is answered, one at a time.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import aiohttp
import asyncpg
import grpc
import psutil
from shop.inventory.v1 import inventory_service_pb2 as pb
from shop.inventory.v1 import inventory_service_pb2_grpc as pb_grpc

from observability.bench.telemetry_overhead import BenchOptions, Say, cpu_seconds, start
from observability.load.arrival_plan import plan_requests
from observability.load.stocking import DIRECT
from observability.telemetry.dependency import DependencyTelemetry
from observability.telemetry.telemetry import unobserved
from services.infra.circuit_breaker import Policy
from services.infra.rpc.guard import CallGuard
from services.kernel.errors import CircuitOpen

# Few slots, so that few requests wait behind the lock.
POOLS = {"ORDER_DATABASE_POOL_SIZE": "2", "INVENTORY_DATABASE_POOL_SIZE": "2"}
# Fewer concurrent calls than gRPC queues for Python, and far more.
AT_ONCE = 32
CONCURRENT_CALLS = 500
CALL_SECONDS = 5.0
LOCK_SECONDS = 30.0

Ask = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of one answer of a layer, the number of answers measured, and all answers by name."""

    layer: str
    cpu_seconds: float
    count: int
    answers: Counter[str]


async def measure(options: BenchOptions, *, say: Say) -> list[Cost]:
    """Run the benchmark on a platform of its own. Raises LocalError, LoadError."""
    plan = plan_requests(requests=options.requests, seed=options.seed)
    async with AsyncExitStack() as stack:
        platform = await start("few places", POOLS, options, plan, stack, say)
        session = await stack.enter_async_context(aiohttp.ClientSession(f"http://{platform.edge_http}"))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(platform.inventory_grpc, options=DIRECT))
        order, inventory = (psutil.Process(platform.service_pids[name]) for name in ("order", "inventory"))
        sku = plan[0].lines[0].sku
        get_order, check = reading(session), checking(pb_grpc.InventoryServiceStub(channel), sku)
        say("asking for what is answered")
        costs = [
            await ask(get_order, "a read at the edge", order, options.requests),
            await ask(check, "a read over gRPC", inventory, options.requests),
        ]
        say("locking the tables, and asking again")
        async with locking(platform.databases["order"], "orders"):
            costs.append(
                await ask(get_order, "admission control at the edge", order, options.requests, at_once=AT_ONCE)
            )
        async with locking(platform.databases["inventory"], "items"):
            costs.append(
                await ask(check, "admission control behind gRPC", inventory, options.requests, at_once=AT_ONCE)
            )
            costs.append(await ask(check, "gRPC's own limit", inventory, options.requests, at_once=CONCURRENT_CALLS))
    return [*costs, refuse(options.requests)]


def reading(session: aiohttp.ClientSession) -> Ask:
    """Read an order that does not exist, which costs the same lookup."""

    async def ask_once() -> str:
        url, headers = f"/orders/{uuid4()}", {"X-Customer-Id": str(uuid4())}
        async with session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=CALL_SECONDS)) as response:
            await response.read()
            return str(response.status)

    return ask_once


def checking(stub: "pb_grpc.InventoryServiceAsyncStub", sku: str) -> Ask:
    """Read the stock of one SKU."""
    request = pb.CheckAvailabilityRequest(lines=[pb.StockLine(sku=sku, quantity=1)])

    async def ask_once() -> str:
        try:
            await stub.CheckAvailability(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    return ask_once


async def ask(once: Ask, layer: str, process: psutil.Process, requests: int, *, at_once: int = 1) -> Cost:
    """Send so many requests, so many at a time; return the CPU of the process for one, by the most frequent answer."""
    answers, left = Counter[str](), iter(range(requests))

    async def one_after_the_other() -> None:
        for _ in left:
            answers[await once()] += 1

    before = cpu_seconds([process])
    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    used = cpu_seconds([process]) - before
    return Cost(layer, used / requests, requests, answers)


@asynccontextmanager
async def locking(dsn: str, table: str) -> AsyncIterator[None]:
    """Lock a table during a with block, like a forgotten migration."""
    connection = await asyncpg.connect(dsn, timeout=LOCK_SECONDS, command_timeout=LOCK_SECONDS)
    try:
        async with connection.transaction():
            await connection.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
            yield
    finally:
        await connection.close(timeout=LOCK_SECONDS)


def refuse(times: int) -> Cost:
    """Measure calls rejected by a guard with an open breaker, in this process."""
    policy = Policy(failures_in_a_row=1, fewest_calls=1, open_seconds=3_600.0, longest_open_seconds=3_600.0)
    guard = CallGuard(telemetry=DependencyTelemetry(unobserved("bench"), "inventory"), policy=policy)
    call(guard, raise_unavailable)
    began = time.process_time()
    answers = Counter(call(guard, succeed) for _ in range(times))
    return Cost("the guard of the caller", (time.process_time() - began) / times, times, answers)


def call(guard: CallGuard, server: Callable[[], None]) -> str:
    """Make a call through the guard, and return how it ended."""
    try:
        with guard.call(timeout_seconds=1.0):
            server()
    except CircuitOpen:
        return "CIRCUIT_OPEN"
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def raise_unavailable() -> None:
    """Fail as gRPC does for an unavailable server."""
    raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())


def succeed() -> None:
    """Return at once."""
