"""Faults between two services: their connections are cut, or one of them has next to no capacity."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from observability.alert_drill.fault_context import FaultContext
from observability.network.proxy import Delay, Impairment, Proxy
from observability.testbed.background_task import background_task
from services.local.servers.ports import local_address

# Some of the calls, each of ten milliseconds, are under way then, and too few of them for the breaker.
CUT_EVERY_SECONDS = 0.15


@asynccontextmanager
async def connections_cut(scene: FaultContext) -> AsyncIterator[None]:
    """What stands between order and inventory resets their connections, seven times a second."""
    inventory = local_address(scene.group.ports.inventory_grpc)

    async def cut(proxy: Proxy) -> None:
        while True:
            await asyncio.sleep(CUT_EVERY_SECONDS)
            with proxy.impaired(Impairment.RESET):
                pass

    async with (
        Proxy.open(target=inventory, delay=Delay(latency_seconds=0.0), seed=0) as proxy,
        restarted(scene, "order", ORDER_INVENTORY_TARGET=proxy.address),
        background_task(cut(proxy)),
    ):
        yield


@asynccontextmanager
async def too_few_connections(scene: FaultContext) -> AsyncIterator[None]:
    """Inventory has one connection to its database, and whoever has it waits for a lock."""
    async with (
        restarted(scene, "inventory", INVENTORY_DATABASE_POOL_SIZE="1"),
        scene.administering("inventory") as connection,
        connection.transaction(),
    ):
        await connection.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def restarted(scene: FaultContext, name: str, **environment: str) -> AsyncIterator[None]:
    """Let a process run with other settings for the time of a block."""
    await scene.group.stop(name)
    await scene.group.start_ready(name, **environment)
    try:
        yield
    finally:
        await scene.group.stop(name)
        await scene.group.start_ready(name)
