"""Tests without a working collector: requests succeed, lost spans are counted, the process ends in time."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.e2e.customers import ANSWER_SECONDS, Customer
from tests.e2e.services import Service, Services

ORDERS = 10
FLUSH_SECONDS = "0.5"


@contextmanager
def absent() -> Iterator[int]:
    """Yield a port that no process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield port


@contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]


async def counter(session: aiohttp.ClientSession, service: Service, name: str, error_type: str) -> float:
    """Return the value of a counter on the service's /metrics."""
    async with session.get(f"http://{service.addresses['admin']}/metrics") as response:
        families = text_string_to_metric_families(await response.text())  # type: ignore[no-untyped-call]  # untyped
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(float(sample.value) for sample in samples if sample.labels["error_type"] == error_type)


@pytest.mark.full
@pytest.mark.parametrize("endpoint", [absent, black_hole])
async def test_a_dead_endpoint_breaks_nothing(
    services: Services, endpoint: Callable[[], AbstractContextManager[int]]
) -> None:
    """All orders are confirmed; no span is exported; SIGTERM still ends the process with 0."""
    with endpoint() as port:
        service = services.order(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", ORDER_TELEMETRY_FLUSH_SECONDS=FLUSH_SECONDS
        )
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session:
            customer = Customer(session, service.addresses["http"])
            answers = [await customer.buy() for _ in range(ORDERS)]
            assert {answer.status for answer in answers} == {201}
            assert await counter(session, service, "otel_sdk_processor_span_processed_total", "") > ORDERS
            assert await counter(session, service, "otel_sdk_exporter_span_exported_total", "") == 0
        assert service.stop() == 0


async def test_a_full_queue_drops_and_counts(services: Services) -> None:
    """Memory stays bounded: what does not fit is counted as queue_full, and the orders are confirmed."""
    with black_hole() as port:
        service = services.order(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
            OTEL_BSP_MAX_QUEUE_SIZE="16",
            OTEL_BSP_MAX_EXPORT_BATCH_SIZE="8",
            ORDER_TELEMETRY_FLUSH_SECONDS=FLUSH_SECONDS,
        )
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session:
            customer = Customer(session, service.addresses["http"])
            assert {(await customer.buy()).status for _ in range(ORDERS)} == {201}
            assert await counter(session, service, "otel_sdk_processor_span_processed_total", "queue_full") > 0
        assert service.stop() == 0
    assert "process.spans_left_behind" in service.events()
