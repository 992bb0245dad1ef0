"""The platform where HTTP_PROXY and its siblings name a proxy that is not there."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from observability.lab.catalogue import ample_stock
from observability.lab.stocking import stock_shop
from services.local.plan import PlatformOptions
from services.local.platform import Platform
from tests.e2e.customers import ANSWER_SECONDS, Customer
from tests.e2e.stock import PLENTY
from tests.patience import PATIENCE_SECONDS

DEAD_PROXY = "http://127.0.0.1:9"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "GRPC_PROXY")


async def until_traced(traces: Path, order_id: str) -> None:
    """Wait until an order's span has arrived at the receiver."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(order_id in file.read_text() for file in traces.glob("*.jsonl")):
            await asyncio.sleep(0.1)


async def test_stock_an_order_and_its_trace_go_past_a_dead_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, DEAD_PROXY)
        monkeypatch.setenv(name.lower(), DEAD_PROXY)
    for name in ("NO_PROXY", "no_proxy", "PLUMB_POSTGRES_DSN"):
        monkeypatch.delenv(name, raising=False)
    async with Platform.start(PlatformOptions(run_directory=tmp_path)) as platform:
        endpoints = platform.endpoints
        await stock_shop(endpoints.inventory_grpc, ample_stock(PLENTY), request_id_prefix="proxies")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session:
            placed = await Customer(session, endpoints.edge_http).place()
        assert placed.status == 201, placed.body
        await until_traced(Path(endpoints.traces_directory), placed.body["order_id"])
