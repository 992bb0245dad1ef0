"""Unusual traffic: customers who cancel their orders, and read orders that do not exist."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from observability.alert_drill.fault_context import FaultContext
from observability.chaos.campaign_context import until
from observability.testbed.background_task import background_task
from services.local.servers.ports import local_address

ANSWER_SECONDS = 60.0
TAKEN_SECONDS = 120.0
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


async def placed(session: aiohttp.ClientSession, sku: str) -> str:
    """Place an order, by the same key until the shop takes it: a busy one may reject it. Return the order's id."""
    order, key = {"lines": [{"sku": sku, "quantity": 1}]}, {"Idempotency-Key": str(uuid.uuid4())}
    found: list[str] = []

    async def is_taken() -> bool:
        async with session.post("/orders", json=order, headers=key) as page:
            if page.ok:
                found.append((await page.json())["order_id"])
        return bool(found)

    await until("an order is taken", is_taken, limit_seconds=TAKEN_SECONDS)
    return found[0]


async def _cancel_orders(session: aiohttp.ClientSession, sku: str) -> None:
    # A counter that appears between two scrapes has no rate, so the requests are spread over several scrapes.
    for _ in range(TIMES):
        order_id = await placed(session, sku)
        # A busy shop may reject it: what counts is that many are cancelled.
        async with session.post(
            f"/orders/{order_id}/cancel", headers={"Idempotency-Key": str(uuid.uuid4())}
        ) as cancelled:
            await cancelled.read()
        async with session.get(f"/orders/{uuid.uuid4()}") as unknown:
            await unknown.read()
        await asyncio.sleep(PAUSE_SECONDS)
