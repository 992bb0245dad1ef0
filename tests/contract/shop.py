"""The shop under test: the same contexts on a real PostgreSQL, called in process or over gRPC."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

import asyncpg
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.telemetry import setup
from observability.telemetry.admission import AdmissionTelemetry
from observability.telemetry.telemetry import Telemetry
from services.infra import cache, postgres
from services.infra.address import Address
from services.infra.admission import AdmissionController
from services.infra.messaging.consumer import cursor_name
from services.infra.messaging.log import EventLog
from services.infra.messaging.postgres_log import PostgresLog
from services.infra.postgres import Database
from services.infra.readiness import Readiness
from services.infra.rpc import server as rpc_server
from services.infra.rpc.client import open_channel
from services.infra.rpc.server import RpcServer
from services.infra.valkey_store import ValkeyStore
from services.inventory import api as inventory_api
from services.inventory.bootstrap import bootstrap_inventory, hint_telemetry
from services.inventory.rpc.client import InventoryClient
from services.inventory.rpc.server import add_inventory_service
from services.inventory.workers.sweeper import Sweeper
from services.kernel.money import Money
from services.local.platform.plan import order_databases
from services.notification.bootstrap import CONSUMER as NOTIFICATION
from services.notification.bootstrap import NotificationParts, bootstrap_notification
from services.order import api as order_api
from services.order.adapters import summaries
from services.order.adapters.shard_maps import PostgresShardMaps
from services.order.bootstrap import OrderParts, OrderServer, bootstrap_order
from services.order.consumers.order_summaries import CONSUMER as SUMMARIES
from services.order.domain.shard_map import ALL_ON_FIRST, ShardMap
from services.order.migrate import store_first_map
from services.order.rpc.client import OrderClient
from services.order.rpc.server import add_order_service
from tests.fakes.sender import FakeSender
from tests.postgres import SHARD
from tests.unhurried import unhurried

# "sharded" is in process, with two servers of orders.
Mode = Literal["in_process", "grpc", "sharded"]
LOOPBACK = Address("127.0.0.1", 0)
POOL_SIZE = 4
GRACE_SECONDS = 5.0
# Above the default deadline: no limit below it decides what is answered, however slow the machine is.
AMPLE_SECONDS = 30.0
# The context of each database.
DATABASES = {
    "order": "order",
    "order_read": "order",
    "event_log": "order",
    "inventory": "inventory",
    "notification": "notification",
}


@dataclass(frozen=True, slots=True)
class Shop:
    """What a test sees: the two apis, however they are reached, and what they leave behind."""

    mode: Mode
    orders: order_api.OrderService
    inventory: inventory_api.InventoryService
    parts: OrderParts
    sweeper: Sweeper
    notification: NotificationParts
    sender: FakeSender
    logs: Sequence[EventLog]
    shard_map: ShardMap
    databases: Mapping[str, Database]
    dsns: Mapping[str, str]
    runtime: setup.Runtime
    spans: InMemorySpanExporter

    @property
    def log(self) -> EventLog:
        """The event log of the first server of orders."""
        return self.logs[0]

    @property
    def order_database(self) -> Database:
        """The pool of the orders' database."""
        return self.databases["order"]

    @property
    def order_dsn(self) -> str:
        """The address of the orders' database."""
        return self.dsns["order"]

    @property
    def inventory_dsn(self) -> str:
        """The address of inventory's database."""
        return self.dsns["inventory"]

    def customer(self) -> UUID:
        """Return a new customer whose orders are on the first server, for tests that look into its database."""
        while self.shard_map.server_of(customer_id := uuid4()) != 0:
            pass
        return customer_id

    async def catch_up(self) -> None:
        """Publish every stored event, bring the read model up to the last, and send every confirmation."""
        for number, server in enumerate(self.parts.servers):
            await server.relay.give_up()  # with its next lease it looks whether the log is still there
            while await server.relay.step() == 0.0:
                pass
            await self._consume("order_read", cursor_name(SUMMARIES, number), server.consumer.step)
            await self._consume("notification", cursor_name(NOTIFICATION, number), self.notification.consume[number])
        while await self.notification.send() == 0.0:
            pass

    async def settle(self) -> None:
        """Let time pass: every saga is due, and driven until no order is on its way."""
        select = "SELECT count(*) AS left FROM sagas"
        for name, server in zip(order_databases(self.dsns), self.parts.servers, strict=True):
            while (await self.databases[name].fetch("SELECT", select))[0]["left"]:
                async with self.databases[name].transaction("test") as transaction:
                    await transaction.execute("UPDATE", "UPDATE sagas SET due_time = now()")
                await server.saga_worker.step()

    async def _consume(self, database: str, cursor: str, step: Callable[[], Awaitable[float]]) -> None:
        """Take a consumer's steps until it has read the whole log."""
        select = "SELECT incarnation, position FROM consumer_cursors WHERE consumer = $1"
        state = await self.logs[int(cursor.partition(".")[2] or 0)].state()
        while [tuple(row) for row in await self.databases[database].fetch("SELECT", select, cursor)] != [
            (state.incarnation, state.head)
        ]:
            await step()

    def finished(self, name: str) -> list[ReadableSpan]:
        """Return the finished spans of a name."""
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def samples(self, metric: str, **labels: str) -> float:
        """Return the number of samples of a histogram under exactly these labels."""
        return self.runtime.metrics.registry.get_sample_value(f"{metric}_count", labels) or 0.0


@asynccontextmanager
async def open_shop(mode: Mode, dsns: Mapping[str, str], *, cache_url: str = "") -> AsyncIterator[Shop]:
    """Run the shop, with a cache or without, during a with block. Workers rest: `catch_up` takes their steps."""
    spans = InMemorySpanExporter()
    runtime = setup.start("contract", log_level="error", processor=SimpleSpanProcessor(spans))
    contexts = ("order", "inventory", "notification", "test")
    telemetry = {context: runtime.for_context(context) for context in contexts}
    async with AsyncExitStack() as stack:
        stack.enter_context(unhurried())
        stack.enter_context(waits(AMPLE_SECONDS))
        databases = await open_databases(dsns, telemetry, stack)
        stock_parts = bootstrap_inventory(
            database=databases["inventory"],
            telemetry=telemetry["inventory"],
            reservation_ttl_seconds=60,
            hint_store=open_hint_store(cache_url, telemetry["inventory"], stack),
            hint_lifetime_seconds=10 * AMPLE_SECONDS,
        )
        inventory: inventory_api.InventoryService = stock_parts.application
        if mode == "grpc":
            inventory = await inventory_over_grpc(inventory, telemetry, stack)
        servers = order_servers(databases, dsns)
        logs = [server.log for server in servers]
        shard_map = await shard_map_of(databases, dsns, len(servers))
        parts = bootstrap_order(
            servers=servers,
            shard_map=shard_map,
            read_database=databases["order_read"],
            inventory=inventory,
            telemetry=telemetry["order"],
            grace_seconds=GRACE_SECONDS,
        )
        sender = FakeSender()
        notification = bootstrap_notification(
            database=databases["notification"], logs=logs, sender=sender, telemetry=telemetry["notification"]
        )
        orders: order_api.OrderService = parts.application
        yield Shop(
            mode=mode,
            orders=await orders_over_grpc(orders, telemetry, stack) if mode == "grpc" else orders,
            inventory=inventory,
            parts=parts,
            sweeper=stock_parts.sweeper,
            notification=notification,
            sender=sender,
            logs=logs,
            shard_map=shard_map,
            databases=databases,
            dsns=dsns,
            runtime=runtime,
            spans=spans,
        )


async def open_databases(
    dsns: Mapping[str, str], telemetry: Mapping[str, Telemetry], stack: AsyncExitStack
) -> Mapping[str, Database]:
    """Open a pool of each database for the life of the stack."""
    databases = {}
    for name, dsn in dsns.items():
        context = DATABASES[SHARD.get(name, name)]
        databases[name] = await Database.open(dsn, pool_size=POOL_SIZE, telemetry=telemetry[context], name=name)
        stack.push_async_callback(databases[name].close, timeout_seconds=5)
    return databases


def open_hint_store(cache_url: str, telemetry: Telemetry, stack: AsyncExitStack) -> ValkeyStore | None:
    """Open the cache of stock hints for the life of the stack, if there is one."""
    if not cache_url:
        return None
    store = ValkeyStore.open(cache_url, telemetry=hint_telemetry(telemetry))
    stack.push_async_callback(store.close)
    return store


def order_servers(databases: Mapping[str, Database], dsns: Mapping[str, str]) -> list[OrderServer]:
    """Return each server of orders with its event log."""
    return [
        OrderServer(database=databases[name], log=PostgresLog(database=databases[name.replace("order", "event_log")]))
        for name in order_databases(dsns)
    ]


async def shard_map_of(databases: Mapping[str, Database], dsns: Mapping[str, str], servers: int) -> ShardMap:
    """Return which server has which logical shard; several servers share them evenly."""
    if servers == 1:
        return ALL_ON_FIRST
    await store_first_map(dsns["order"], servers)
    return await PostgresShardMaps(database=databases["order"]).current()


async def inventory_over_grpc(
    inventory: inventory_api.InventoryService, telemetry: Mapping[str, Telemetry], stack: AsyncExitStack
) -> InventoryClient:
    """Serve inventory for the life of the stack, and return a client of it."""
    server = open_server(telemetry["test"])
    add_inventory_service(server, inventory, telemetry=telemetry["inventory"])
    target = await serve(server, stack)
    channel = await stack.enter_async_context(open_channel(target))
    return InventoryClient(channel, target=target, telemetry=telemetry["order"], call_seconds=AMPLE_SECONDS)


async def orders_over_grpc(
    orders: order_api.OrderService, telemetry: Mapping[str, Telemetry], stack: AsyncExitStack
) -> OrderClient:
    """Serve the order service for the life of the stack, and return a client of it."""
    server = open_server(telemetry["test"])
    add_order_service(server, orders, telemetry=telemetry["order"])
    target = await serve(server, stack)
    channel = await stack.enter_async_context(open_channel(target))
    return OrderClient(channel, target=target, telemetry=telemetry["test"], call_seconds=AMPLE_SECONDS)


@contextmanager
def waits(seconds: float) -> Iterator[None]:
    """Let calls wait so long for a server, a connection, a lock, the cache and the list, during a with block."""
    with pytest.MonkeyPatch.context() as patch:
        pending = {"grpc.server_max_unrequested_time_in_server": int(seconds)}
        patch.setattr(rpc_server, "OPTIONS", tuple({**dict(rpc_server.OPTIONS), **pending}.items()))
        patch.setattr(postgres, "ACQUIRE_SECONDS", seconds)
        patch.setattr(postgres, "LOCK_SECONDS", seconds)
        patch.setattr(cache, "WAIT_SECONDS", seconds)
        patch.setattr(summaries, "MOST_WAIT_SECONDS", seconds)
        yield


def open_admission(telemetry: Telemetry) -> AdmissionController:
    """Return an admission controller that admits every request."""
    return AdmissionController(
        connections=POOL_SIZE, late_seconds=lambda: 0.0, telemetry=AdmissionTelemetry(telemetry), enabled=False
    )


def open_server(telemetry: Telemetry, *, admission: AdmissionController | None = None) -> RpcServer:
    """Return a server; it is ready once told so, and rejects only what `admission` rejects."""
    admission = admission or open_admission(telemetry)
    return RpcServer(name="grpc", listen=LOOPBACK, admission=admission, readiness=Readiness({}))


async def serve(server: RpcServer, stack: AsyncExitStack) -> str:
    """Start a server for the life of the stack; return its host:port."""
    target = (await server.start())["grpc"]
    stack.push_async_callback(server.stop, grace_seconds=1)
    return target


def gbp(minor_units: int) -> Money:
    """Return an amount in pence."""
    return Money("GBP", minor_units)


async def stock(shop: Shop, **quantities: int) -> None:
    """Bring goods, each SKU at 2.50."""
    lines = tuple(inventory_api.Delivery(sku, quantity, gbp(250)) for sku, quantity in quantities.items())
    await shop.inventory.restock(inventory_api.Restock(request_id(), lines))


async def available(shop: Shop, sku: str) -> int:
    """Return the units of a SKU that can be reserved."""
    (level,) = await shop.inventory.get_stock(inventory_api.GetStock((sku,)))
    return level.available


def request_id() -> str:
    """Return a fresh request id."""
    return uuid4().hex


def reserve(reservation_id: UUID | None = None, **quantities: int) -> inventory_api.ReserveStock:
    """Return a command to reserve units of some SKUs."""
    lines = tuple(inventory_api.StockLine(sku, quantity) for sku, quantity in quantities.items())
    return inventory_api.ReserveStock(request_id(), reservation_id or uuid4(), lines)


def place(customer_id: UUID | None = None, **quantities: int) -> order_api.PlaceOrder:
    """Return a command to order units of some SKUs."""
    lines = tuple(order_api.OrderLine(sku, quantity) for sku, quantity in quantities.items())
    return order_api.PlaceOrder(request_id(), customer_id or uuid4(), lines)


@asynccontextmanager
async def holding(dsn: str, statement: str, *arguments: object) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Hold what a statement locks, in a transaction of another connection, during a with block."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(statement, *arguments)
            yield connection
    finally:
        await connection.close()
