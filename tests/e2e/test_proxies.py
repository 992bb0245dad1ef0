"""Tests of the platform while HTTP_PROXY and its siblings name an unreachable proxy."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from observability.load.outcomes import OutcomeKind
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform
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


def load(edge: str, inventory: str, folder: Path) -> dict[str, Any]:
    """Run `plumb load` for a moment, with stock of its own; return its result."""
    program, result = Path(sys.executable).with_name("plumb"), folder / "load.json"
    arguments = ("--target", edge, "--inventory", inventory, "--rate", "2", "--duration", "2", "--json", str(result))
    patience = ("--timeout", str(PATIENCE_SECONDS / 10))
    ended = subprocess.run(
        [program, "load", *arguments, *patience], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert result.exists(), ended.stdout + ended.stderr
    document: dict[str, Any] = json.loads(result.read_text())
    return document


@pytest.mark.full
async def test_loopback_traffic_ignores_a_dead_proxy_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert placed.status in {201, 202}, placed.body  # on a slow machine it is kept, and settled later
        await until_traced(Path(endpoints.traces_directory), placed.body["order_id"])
        result = await asyncio.to_thread(load, endpoints.edge_http, endpoints.inventory_grpc, tmp_path)
        assert {each["outcome"] for each in result["requests"]} & {OutcomeKind.CONFIRMED, OutcomeKind.PENDING}
