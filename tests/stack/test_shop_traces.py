"""Tests that a real Jaeger finds an order of the real shop by service, operation, tag and duration."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from observability.analysis.readers.trace_files import SpansRead, read_spans
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform
from tests.e2e.customers import ANSWER_SECONDS, Customer
from tests.e2e.stock import fill_shelves
from tests.stack.collector import TO_FILE, Collector, collector
from tests.stack.jaeger import Jaeger
from tests.stack.loki_stand_in import LokiStandIn, loki_stand_in, plain
from tests.stack.processes import eventually

ORDERS = 5
OPERATION = "POST /orders"


# A slow machine takes longer for an order than customers wait, and for a call than its caller does. An order that is
# kept for later is placed again, so that it may have several traces.
PATIENT = {
    "ORDER_ADMISSION_ENABLED": "false",
    "ORDER_INVENTORY_GUARDED": "false",
    "ORDER_REQUEST_DEADLINE_SECONDS": "60",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """The Collector and Jaeger behind the shop, and the orders that were placed."""

    taken: Collector
    loki: LokiStandIn
    file: Path
    order_ids: list[str]


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, search: Jaeger) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("behind")
    file = folder / "traces.jsonl"
    with (
        loki_stand_in() as loki,
        collector(
            folder, TO_FILE, jaeger=search.otlp, loki=loki.endpoint, more={"COLLECTOR_TRACES_FILE": str(file)}
        ) as taken,
    ):
        yield Watched(taken, loki, file, [])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(behind: Watched, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """Run the real services, which send to the Collector and log where it reads; place a few orders."""
    telling = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{behind.taken.otlp_http}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "LOG_FOLDER": str(behind.taken.log_folder),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLUMB_POSTGRES_DSN", raising=False)
        options = PlatformOptions(
            run_directory=tmp_path_factory.mktemp("shop"), environment={"*": telling, "order": PATIENT}
        )
        async with Platform.start(options) as platform:
            await fill_shelves(platform.endpoints.inventory_grpc)
            timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                customer = Customer(session, platform.endpoints.edge_http)
                answers = [await customer.buy() for _ in range(ORDERS)]
            assert {answer.status for answer in answers} == {201}
            behind.order_ids.extend(answer.body["order_id"] for answer in answers)
            yield behind


def trace_of(search: Jaeger, order_id: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the trace whose span carries this order's id, as soon as its root is there."""

    def look() -> tuple[str, list[dict[str, Any]]] | None:
        found = search.search("order", tags=json.dumps({"shop.order.id": order_id}))
        whole = [(key, spans) for key, spans in found.items() if OPERATION in {span["operationName"] for span in spans}]
        return whole[0] if whole else None

    return eventually(look, what=f"the trace of order {order_id} is in Jaeger")


def test_an_order_is_found_by_the_tag_of_its_id(shop: Watched, search: Jaeger) -> None:
    traces = {trace_of(search, order_id)[0] for order_id in shop.order_ids}
    assert len(traces) == ORDERS


def test_its_trace_goes_through_both_services(shop: Watched, search: Jaeger) -> None:
    both = {("order", OPERATION), ("inventory", "shop.inventory.v1.InventoryService/ReserveStock")}

    def is_whole() -> bool:
        found = search.search("order", tags=json.dumps({"shop.order.id": shop.order_ids[0]}))
        return any(both <= set(search.trace(trace_id)) for trace_id in found)

    assert eventually(is_whole, what="a trace of the order through both services")


def test_orders_are_found_by_their_operation(shop: Watched, search: Jaeger) -> None:
    placed = {trace_of(search, order_id)[0] for order_id in shop.order_ids}
    found = search.search("order", operation=OPERATION)
    assert placed <= found.keys()
    assert all(OPERATION in {span["operationName"] for span in spans} for spans in found.values())


def test_each_service_is_known_by_its_name(shop: Watched, search: Jaeger) -> None:
    known = eventually(lambda: set(search.ask("services")) >= {"order", "inventory", "notification"}, what="services")
    assert known


def test_a_longer_duration_than_any_finds_nothing(shop: Watched, search: Jaeger) -> None:
    assert all(trace_of(search, order_id) for order_id in shop.order_ids)
    longest = max(map(_longest, search.search("order", operation=OPERATION).values()))
    assert search.search("order", operation=OPERATION, minDuration=f"{longest + 1}us") == {}


def test_a_duration_that_all_have_finds_all(shop: Watched, search: Jaeger) -> None:
    placed = dict(trace_of(search, order_id) for order_id in shop.order_ids)
    shortest = min(map(_longest, placed.values()))
    assert placed.keys() <= search.search("order", operation=OPERATION, minDuration=f"{shortest}us").keys()


@pytest.mark.parametrize(
    ("client", "server"),
    [("order", "inventory"), ("order", "postgresql order"), ("order", "shop.orders"), ("shop.orders", "notification")],
)
def test_calls_between_services_are_counted(shop: Watched, client: str, server: str) -> None:
    name = "traces_service_graph_request"
    assert eventually(lambda: shop.taken.span_metric(name, client=client, server=server), what=f"{client} to {server}")


def test_a_log_line_arrives_with_its_service_and_trace(shop: Watched) -> None:
    def started() -> set[str]:
        return {service for service, record in shop.loki.records() if _event(record.body) == "process.started"}

    assert eventually(lambda: started() == {"order", "inventory", "notification"}, what="each process's first line")


def test_the_line_keeps_its_own_time(shop: Watched) -> None:
    _, record = eventually(lambda: next(iter(shop.loki.records()), None), what="a line is in Loki")
    body = plain(record.body)
    assert isinstance(body, dict)
    seconds = f"{record.time_unix_nano // 1_000_000_000 % 60:02d}"
    assert body["timestamp"][17:19] == seconds


def test_the_file_of_traces_is_one_that_the_offline_tools_read(shop: Watched) -> None:
    def read() -> SpansRead | None:
        found = read_spans([shop.file])
        return found if {"order", "inventory"} <= {span.service for span in found.spans} else None

    assert eventually(read, what="spans are in the file").unread == ()


def _longest(spans: list[dict[str, Any]]) -> int:
    """Return the duration of the root, in microseconds."""
    return max(int(span["duration"]) for span in spans if span["operationName"] == OPERATION)


def _event(body: Any) -> object:
    fields = plain(body)
    return fields.get("event") if isinstance(fields, dict) else None
