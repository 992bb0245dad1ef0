"""Fixture of an edge with admission control and listener, whose order service confirms orders at once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from uuid import UUID, uuid4

import aiohttp
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.telemetry import setup
from observability.telemetry.admission import AdmissionTelemetry
from services.edge.server import edge_server
from services.infra.address import Address
from services.infra.admission import AdmissionController
from tests.fakes.inventory import FakeInventory
from tests.fakes.order_service import FakeOrderService

DEADLINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Edge:
    """A running edge, and a session of one customer of it."""

    address: str
    customer_id: UUID
    session: aiohttp.ClientSession
    orders: FakeOrderService
    admission: AdmissionController
    runtime: setup.Runtime


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    """Serve the edge with room for four requests at once."""
    runtime = setup.start(
        "test", log_level="info", processor=SimpleSpanProcessor(InMemorySpanExporter()), log_stream=BytesIO()
    )
    telemetry, orders = runtime.for_context("edge"), FakeOrderService()
    admission = AdmissionController(connections=2, late_seconds=lambda: 0.0, telemetry=AdmissionTelemetry(telemetry))
    server = edge_server(
        orders=orders,
        inventory=FakeInventory(),
        admission=admission,
        runtime=runtime,
        listen=Address("127.0.0.1", 0),
        request_deadline_seconds=DEADLINE_SECONDS,
    )
    address, customer_id = (await server.start())["http"], uuid4()
    try:
        headers = {"X-Customer-Id": str(customer_id)}
        async with aiohttp.ClientSession(f"http://{address}", headers=headers) as session:
            yield Edge(address, customer_id, session, orders, admission, runtime)
    finally:
        await server.stop(grace_seconds=1)
