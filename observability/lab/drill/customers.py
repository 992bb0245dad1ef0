"""What do customers do that is no fault of ours? They ask for what is not there, and change their minds."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from observability.lab.drill.scene import Scene
from services.local.ports import HOST

ANSWER_SECONDS = 15.0
TIMES = 10


@asynccontextmanager
async def as_customer(scene: Scene, customer: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Speak to the REST edge as a customer, with paths for addresses."""
    base = f"http://{HOST}:{scene.house.ports.edge_http}"
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(base, timeout=timeout, headers={"X-Customer-Id": customer}) as session:
        yield session


@asynccontextmanager
async def minds_changed(scene: Scene) -> AsyncIterator[None]:
    """Some cancel what they have just ordered, and ask for orders that there are not."""
    async with scene.administering("inventory") as connection:
        sku = await connection.fetchval("SELECT sku FROM items WHERE on_hand - reserved > $1 LIMIT 1", TIMES)
    async with as_customer(scene, str(uuid.uuid4())) as session:
        for _ in range(TIMES):
            order = {"lines": [{"sku": sku, "quantity": 1}]}
            async with session.post("/orders", json=order, headers={"Idempotency-Key": str(uuid.uuid4())}) as placed:
                order_id = (await placed.json())["order_id"]
            key = {"Idempotency-Key": str(uuid.uuid4())}
            async with session.post(f"/orders/{order_id}/cancel", headers=key) as cancelled:
                cancelled.raise_for_status()
            async with session.get(f"/orders/{uuid.uuid4()}") as unknown:
                await unknown.read()
    yield
