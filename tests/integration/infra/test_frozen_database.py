"""Readiness of a process whose PostgreSQL is frozen: no answer, no end and no reset of connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from shop.inventory.v1 import inventory_service_pb2 as pb
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from observability.network.proxy import Impairment, rerouted
from observability.telemetry import setup
from services.infra import readiness
from services.infra.settings import read_settings
from services.inventory.__main__ import serve
from services.inventory.settings import InventorySettings
from tests.integration.infra.test_silent_connections import proxied
from tests.patience import PATIENCE_SECONDS

POOL_SIZE = 2
CALLERS = 4 * POOL_SIZE
CALL_SECONDS = 0.5
POLL_SECONDS = 0.02
READY = (200, HealthCheckResponse.SERVING)
NOT_READY = (503, HealthCheckResponse.NOT_SERVING)


class Running:
    """Inventory with its listeners, as probes and callers see it."""

    def __init__(self, addresses: dict[str, str], session: aiohttp.ClientSession, channel: grpc.aio.Channel) -> None:
        self._readyz = f"http://{addresses['admin']}/readyz"
        self._session = session
        health: Any = HealthStub(channel)
        self._check = health.Check
        self._stub = InventoryServiceStub(channel)

    async def readiness(self) -> tuple[int, int]:
        """Return the status of /readyz and that of gRPC health."""
        async with self._session.get(self._readyz) as response:
            return response.status, (await self._check(HealthCheckRequest())).status

    async def call_for_ever(self) -> None:
        """Ask for stock again and again, whatever is answered."""
        while True:
            with suppress(grpc.aio.AioRpcError):
                await self._stub.GetStock(pb.GetStockRequest(skus=["A"]), timeout=CALL_SECONDS)


@asynccontextmanager
async def running(dsn: str, folder: Path) -> AsyncIterator[Running]:
    """Run inventory during a with block."""
    ready_file = folder / "ready.json"
    variables = {
        "DATABASE_DSN": dsn,
        "DATABASE_POOL_SIZE": str(POOL_SIZE),
        "GRPC_LISTEN": "127.0.0.1:0",
        "READY_FILE": str(ready_file),
        "DRAIN_GRACE_SECONDS": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(f"INVENTORY_{name}", value)
        settings = read_settings(InventorySettings)
    processor = SimpleSpanProcessor(InMemorySpanExporter())
    runtime = setup.start("test", log_level="info", processor=processor, log_stream=BytesIO())
    serving = asyncio.create_task(serve(settings, runtime))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not ready_file.exists():
                assert not serving.done()
                await asyncio.sleep(POLL_SECONDS)
        addresses = json.loads(ready_file.read_text())
        async with aiohttp.ClientSession() as session, grpc.aio.insecure_channel(addresses["grpc"]) as channel:
            yield Running(addresses, session, channel)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def until(service: Running, expected: tuple[int, int]) -> None:
    """Wait until both probes are answered so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await service.readiness() != expected:
            await asyncio.sleep(POLL_SECONDS)


@pytest.fixture
def hasty_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check often, and wait for a short time only."""
    monkeypatch.setattr(readiness, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(readiness, "CHECK_SECONDS", 0.2)


@pytest.mark.usefixtures("hasty_checks")
@pytest.mark.parametrize("callers", [0, CALLERS], ids=["at rest", "at work"])
async def test_a_process_is_not_ready_while_its_database_is_frozen(
    inventory_dsn: str, tmp_path: Path, callers: int
) -> None:
    """For probes over HTTP and gRPC alike, also where its callers use all connections of the pool."""
    address = inventory_dsn.partition("@")[2].partition("/")[0]
    async with proxied(address) as proxy, running(rerouted(inventory_dsn, proxy.address), tmp_path) as service:
        calls = [asyncio.create_task(service.call_for_ever()) for _ in range(callers)]
        await until(service, READY)
        with proxy.impaired(Impairment.BLACKHOLE):
            await until(service, NOT_READY)
        await until(service, READY)
        for call in calls:
            call.cancel()
