"""Faults between two services: connections are reset, or one service has almost no capacity."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from observability.alert_drill.fault_context import FaultContext
from observability.network.proxy import Delay, Impairment, Proxy
from observability.testbed.background_task import background_task
from services.local.servers.ports import local_address

# At each reset some calls, of 10 ms each, are in flight, and too few of them fail to open the breaker.
CUT_EVERY_SECONDS = 0.15


@asynccontextmanager
async def connections_cut(context: FaultContext) -> AsyncIterator[None]:
    """Reset the connections between order and inventory seven times a second."""
    inventory = local_address(context.group.ports.inventory_grpc)

    async def cut(proxy: Proxy) -> None:
        while True:
            await asyncio.sleep(CUT_EVERY_SECONDS)
            with proxy.impaired(Impairment.RESET):
                pass

    async with (
        Proxy.open(target=inventory, delay=Delay(latency_seconds=0.0), seed=0) as proxy,
        restarted(context, "order", ORDER_INVENTORY_TARGET=proxy.address),
        background_task(cut(proxy)),
    ):
        yield


@asynccontextmanager
async def too_few_connections(context: FaultContext) -> AsyncIterator[None]:
    """Give inventory one database connection, whose statements wait for a lock."""
    async with (
        restarted(context, "inventory", INVENTORY_DATABASE_POOL_SIZE="1"),
        context.administering("inventory") as connection,
        connection.transaction(),
    ):
        await connection.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def restarted(context: FaultContext, name: str, **environment: str) -> AsyncIterator[None]:
    """Run a process with other settings during a with block."""
    await context.group.stop(name)
    await context.group.start_ready(name, **environment)
    try:
        yield
    finally:
        await context.group.stop(name)
        await context.group.start_ready(name)
