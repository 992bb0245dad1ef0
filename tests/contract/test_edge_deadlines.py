"""Deadlines at the edge: it answers 504 when one expires or is too short, in process and over gRPC."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from observability.telemetry.admission import AdmissionTelemetry
from services.edge.server import edge_server
from services.infra.admission import AdmissionController
from tests.contract.shop import LOOPBACK, POOL_SIZE, Shop, holding, request_id, stock

# A customer on the first server of orders.
CUSTOMER_ID, ORDER_ID = "00000000-0000-4000-8000-000000000001", str(uuid4())
ORDER = {"lines": [{"sku": "A", "quantity": 1}]}
SHORT_SECONDS = 1.0
AMPLE_SECONDS = 60.0
NO_TIME_SECONDS = 1e-6
# Whatever a request needs first is locked, so that each waits.
LOCKS = {
    "order": "LOCK TABLE orders, idempotency_keys IN ACCESS EXCLUSIVE MODE",
    "order_read": "LOCK TABLE order_summaries IN ACCESS EXCLUSIVE MODE",
    "inventory": "LOCK TABLE items IN ACCESS EXCLUSIVE MODE",
}
REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "place": ("POST", "/orders", {"json": ORDER}),
    "read": ("GET", f"/orders/{ORDER_ID}", {}),
    "cancel": ("POST", f"/orders/{ORDER_ID}/cancel", {}),
    "list": ("GET", f"/customers/{CUSTOMER_ID}/orders", {}),
    "hints": ("GET", "/stock-hints", {"params": {"sku": "A"}}),
}


@asynccontextmanager
async def opened(
    shop: Shop, admission: AdmissionController, *, deadline_seconds: float
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the edge with admission control during a with block."""
    server = edge_server(
        orders=shop.orders,
        inventory=shop.inventory,
        admission=admission,
        runtime=shop.runtime,
        listen=LOOPBACK,
        request_deadline_seconds=deadline_seconds,
    )
    target = (await server.start())["http"]
    try:
        headers = {"X-Customer-Id": CUSTOMER_ID}
        async with aiohttp.ClientSession(f"http://{target}", headers=headers) as session:
            yield session
    finally:
        await server.stop(grace_seconds=1)


async def ask(session: aiohttp.ClientSession, name: str) -> tuple[int, dict[str, Any]]:
    """Send one of the requests; return the status and the body."""
    method, path, arguments = REQUESTS[name]
    headers = {"Idempotency-Key": request_id()} if method == "POST" else {}
    async with session.request(method, path, headers=headers, **arguments) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.fixture
def admission(shop: Shop) -> AdmissionController:
    """Return an admission controller whose loop is never late."""
    telemetry = AdmissionTelemetry(shop.runtime.for_context("edge"))
    return AdmissionController(connections=POOL_SIZE, late_seconds=lambda: 0.0, telemetry=telemetry)


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_whose_time_runs_out_is_answered_504(
    shop: Shop, admission: AdmissionController, name: str
) -> None:
    """It does not say that nothing was done."""
    async with AsyncExitStack() as stack:
        for database, lock in LOCKS.items():
            await stack.enter_async_context(holding(shop.dsns[database], lock))
        session = await stack.enter_async_context(opened(shop, admission, deadline_seconds=SHORT_SECONDS))
        status, body = await ask(session, name)
    assert (status, body["reason"]) == (504, "DEADLINE_EXCEEDED")
    assert body["detail"] == "The deadline passed; the outcome is unknown."


async def test_a_too_short_deadline_is_504_before_any_work(shop: Shop, admission: AdmissionController) -> None:
    await stock(shop, A=1)
    async with opened(shop, admission, deadline_seconds=AMPLE_SECONDS) as session:
        assert (await ask(session, "place"))[0] == 201
    async with opened(shop, admission, deadline_seconds=NO_TIME_SECONDS) as session:
        status, body = await ask(session, "place")
    assert (status, body["reason"]) == (504, "DEADLINE_EXCEEDED")
    assert "it was not begun" in body["detail"]
