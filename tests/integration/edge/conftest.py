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
from services.edge.admission import AdmissionMiddleware
from services.edge.application import make_edge
from services.infra.address import Address
from services.infra.admission import AdmissionController
from services.infra.http_server import HttpServer
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
    application = make_edge(
        orders=orders,
        inventory=FakeInventory(),
        telemetry=telemetry,
        tracer_provider=runtime.provider,
        request_deadline_seconds=DEADLINE_SECONDS,
    )
    admitted_edge = AdmissionMiddleware(
        application, admission=admission, telemetry=telemetry, request_deadline_seconds=DEADLINE_SECONDS
    )
    server = HttpServer(admitted_edge, name="http", listen=Address("127.0.0.1", 0), metrics=runtime.metrics)
    address, customer_id = (await server.start())["http"], uuid4()
    try:
        headers = {"X-Customer-Id": str(customer_id)}
        async with aiohttp.ClientSession(f"http://{address}", headers=headers) as session:
            yield Edge(address, customer_id, session, orders, admission, runtime)
    finally:
        await server.stop(grace_seconds=1)
