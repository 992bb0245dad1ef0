"""Unusual traffic: customers who cancel their orders, and read orders that do not exist."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from observability.alert_drill.fault_context import FaultContext
from observability.testbed.background_task import background_task
from services.local.servers.ports import local_address

ANSWER_SECONDS = 15.0
TIMES = 40
PAUSE_SECONDS = 0.25


@asynccontextmanager
async def as_customer(context: FaultContext, customer: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session with the REST edge as a customer; its addresses are paths."""
    base = f"http://{local_address(context.group.ports.edge_http)}"
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(base, timeout=timeout, headers={"X-Customer-Id": customer}) as session:
        yield session


@asynccontextmanager
async def orders_cancelled(context: FaultContext) -> AsyncIterator[None]:
    """Place and cancel orders, and read unknown ones, repeatedly during the with block."""
    async with context.administering("inventory") as connection:
        sku = await connection.fetchval("SELECT sku FROM items WHERE on_hand - reserved > $1 LIMIT 1", TIMES)
    async with as_customer(context, str(uuid.uuid4())) as session, background_task(_cancel_orders(session, sku)):
        yield


async def _cancel_orders(session: aiohttp.ClientSession, sku: str) -> None:
    # A counter that appears between two scrapes has no rate, so the requests are spread over several scrapes.
    for _ in range(TIMES):
        order = {"lines": [{"sku": sku, "quantity": 1}]}
        async with session.post("/orders", json=order, headers={"Idempotency-Key": str(uuid.uuid4())}) as placed:
            order_id = (await placed.json())["order_id"]
        key = {"Idempotency-Key": str(uuid.uuid4())}
        async with session.post(f"/orders/{order_id}/cancel", headers=key) as cancelled:
            cancelled.raise_for_status()
        async with session.get(f"/orders/{uuid.uuid4()}") as unknown:
            await unknown.read()
        await asyncio.sleep(PAUSE_SECONDS)
