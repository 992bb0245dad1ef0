"""Both SDKs export the same spans for the same requests over HTTP and gRPC, and for the work in the background."""

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.telemetry import setup
from services.edge.server import edge_server
from tests.contract.shop import LOOPBACK, Shop, open_shop, stock
from tests.postgres import PostgresServer, empty
from tests.unit.telemetry.sdk.endpoint import endpoint

CUSTOMER_ID = str(UUID(int=1))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# Attributes whose values differ from run to run.
VARYING = {
    "db.client.connection.wait_time",
    "server.address",
    "server.port",
    "shop.event.age_seconds",
    "shop.order.id",
    "shop.reservation.id",
    "service.instance.id",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
}


async def ask(session: aiohttp.ClientSession) -> list[int]:
    """Send one request of each kind, with good ends and bad; return the statuses."""
    statuses = []

    async def send(method: str, path: str, **arguments: Any) -> Any:
        async with session.request(method, path, **arguments) as answer:
            statuses.append(answer.status)
            return await answer.json(content_type=None)

    placed = {}
    for key, body in (
        ("one", {"lines": [{"sku": "A", "quantity": 1}]}),
        ("one", {"lines": [{"sku": "A", "quantity": 1}]}),
        ("one", {"lines": [{"sku": "A", "quantity": 2}]}),
        ("two", {"lines": [{"sku": "A", "quantity": 999}]}),
        ("three", {"lines": []}),
        ("four", {"lines": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 2}]}),
    ):
        headers = {"Idempotency-Key": key * 8, "traceparent": TRACEPARENT}
        placed[key] = await send("POST", "/orders", json=body, headers=headers)
    order_id = placed["four"]["order_id"]
    await send("GET", f"/orders/{order_id}")
    await send("GET", f"/orders/{uuid4()}")
    await send("GET", "/orders/nonsense?secret=1")
    await send("POST", f"/orders/{order_id}/cancel", headers={"Idempotency-Key": "cancelled"})
    await send("GET", "/stock-hints", params={"sku": "A"})
    await send("GET", f"/customers/{CUSTOMER_ID}/orders")
    await send("GET", "/nowhere")
    return statuses


async def use(shop: Shop) -> list[int]:
    """Use a shop through its edge, and let it do its background work."""
    server = edge_server(
        orders=shop.orders,
        inventory=shop.inventory,
        admission=None,
        runtime=shop.runtime,
        listen=LOOPBACK,
        request_deadline_seconds=300.0,
    )
    target = (await server.start())["http"]
    try:
        await stock(shop, A=50, B=50)
        async with aiohttp.ClientSession(f"http://{target}", headers={"X-Customer-Id": CUSTOMER_ID}) as session:
            statuses = await ask(session)
    finally:
        await server.stop(grace_seconds=1)
    await shop.catch_up()
    return statuses


def described(bodies: list[bytes]) -> Counter[str]:
    """Return how often each span was exported, without ids, times and varying values; its parent and links by name."""
    found: list[tuple[str, str, Span]] = []
    for body in bodies:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = sorted(map(describe_pair, resource.resource.attributes))
            for scope in resource.scope_spans:
                source = f"{attributes} {scope.scope} {scope.schema_url}"
                found += [(source, scope.scope.name, span) for span in scope.spans]
    names = {span.span_id: span.name for _, _, span in found}
    return Counter(f"{source}\n{describe(span, names)}" for source, _, span in found)


def describe_pair(pair: Any) -> str:
    """Return an attribute as text; of a varying one, the key and the type."""
    return f"{pair.key}={pair.value.WhichOneof('value') if pair.key in VARYING else pair.value}"


def describe(span: Span, names: dict[bytes, str]) -> str:
    """Return a span as text."""
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    attributes = sorted(map(describe_pair, span.attributes))
    events = [(event.name, sorted(map(describe_pair, event.attributes))) for event in span.events]
    links = sorted(names.get(link.span_id, link.span_id.hex()) + f" {link.flags:x}" for link in span.links)
    parent = names.get(span.parent_span_id, span.parent_span_id.hex())
    dropped = (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count)
    return f"{span.name} {span.kind} in {parent!r} {attributes} {events} {links} {span.status} {span.flags:x} {dropped}"


async def test_both_sdks_export_the_same_spans(
    postgres_server: PostgresServer, clean_databases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Counter[str]] = {}
    statuses: dict[str, list[int]] = {}
    for sdk in ("stock", "lean"):
        for dsn in postgres_server.dsns.values():
            await empty(dsn)
        with endpoint() as served:
            monkeypatch.setenv("PLUMB_TELEMETRY_SDK", sdk)
            monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", served.url)
            async with open_shop("grpc", postgres_server.dsns) as shop:
                setup.add_exporting_processor(shop.runtime)
                statuses[sdk] = await use(shop)
                assert shop.runtime.shut_down(timeout_seconds=300.0)
            found[sdk] = described(served.bodies)
    assert statuses["lean"] == statuses["stock"]
    assert found["lean"] - found["stock"] == Counter()
    assert found["stock"] - found["lean"] == Counter()
    assert found["lean"].total() > 150
