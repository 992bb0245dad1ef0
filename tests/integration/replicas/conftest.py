"""A shop on a primary and its streaming replicas, whose lag and state tests change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from observability.telemetry import setup
from observability.telemetry.telemetry import Telemetry
from services.infra import postgres
from services.infra.messaging.postgres_log import PostgresLog
from services.infra.migrations import migrate
from services.infra.postgres import Database
from services.infra.replicas import ReplicaOptions, Replicas
from services.inventory.api import Delivery, Restock
from services.inventory.bootstrap import InventoryParts, bootstrap_inventory
from services.kernel.money import Money
from services.local.platform.plan import base_environment
from services.local.processes.scratch_folder import Scratch
from services.local.servers.databases import Databases, replace_port
from services.local.servers.ports import local_address
from services.local.servers.postgres import EmbeddedPostgres, PostgresStart, start_postgres
from services.local.servers.replicas import start_replicas
from services.order.api import Order, OrderLine, PlaceOrder
from services.order.bootstrap import OrderParts, OrderReplicas, OrderServer, bootstrap_order
from tests.patience import PATIENCE_SECONDS
from tests.postgres import MIGRATIONS, without_backstops, without_waiting_for_the_disk

DATABASES = ("order", "order_read", "inventory", "event_log")
POOL_SIZE = 8


@dataclass(frozen=True, slots=True)
class Servers:
    """A primary, its two replicas, and the DSN of each database on the primary."""

    primary: EmbeddedPostgres
    replicas: tuple[EmbeddedPostgres, ...]
    dsns: dict[str, str]

    def on(self, server: EmbeddedPostgres, database: str) -> str:
        """Return the DSN of a database on one of the servers."""
        return replace_port(self.dsns[database], server.port)

    def wherever_it_is_primary(self, database: str) -> str:
        """Return the DSN that finds the server that takes writes."""
        hosts = ",".join(str(local_address(server.port)) for server in (self.primary, *self.replicas))
        own = str(local_address(self.primary.port))
        return self.dsns[database].replace(own, hosts) + "&target_session_attrs=read-write"


@dataclass(frozen=True, slots=True)
class ReplicatedShop:
    """Orders and inventory whose queries read replicas; `order_replicas` and the others are sampled by `sample`."""

    orders: OrderParts
    inventory: InventoryParts
    database: Database
    read_database: Database
    log: PostgresLog
    order_replicas: Replicas
    list_replicas: Replicas
    stock_replicas: Replicas
    runtime: setup.Runtime

    async def sample(self) -> None:
        """Sample all replicas once."""
        for replicas in (self.order_replicas, self.list_replicas, self.stock_replicas):
            await replicas.step()

    async def place(self) -> Order:
        """Place an order of a new customer."""
        command = PlaceOrder(uuid4().hex, uuid4(), (OrderLine("A", 1),))
        return await self.orders.application.place_order(command)

    async def project(self) -> None:
        """Publish all events, and update the lists."""
        while await self.orders.servers[0].relay.step() == 0.0:
            pass
        select = "SELECT incarnation, position FROM consumer_cursors"
        state = await self.log.state()
        while [tuple(row) for row in await self.read_database.fetch("SELECT", select)] != [
            (state.incarnation, state.head)
        ]:
            await self.orders.servers[0].consumer.step()

    def count(self, metric: str, database: str = "order", **labels: str) -> float:
        """Return the value of a counter of order's replicas."""
        labels |= {"context": "inventory" if database == "inventory" else "order", "database": database}
        return self.runtime.metrics.registry.get_sample_value(f"{metric}_total", labels) or 0.0


async def execute(dsn: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    connection = await asyncpg.connect(dsn, timeout=PATIENCE_SECONDS)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=PATIENCE_SECONDS)
    finally:
        await connection.close(timeout=PATIENCE_SECONDS)


async def delay(server: EmbeddedPostgres, milliseconds: int) -> None:
    """Let a replica replay each commit this much later."""
    statement = f"ALTER SYSTEM SET recovery_min_apply_delay = {milliseconds}"
    await execute(server.admin_dsn, statement, "SELECT pg_reload_conf()")


async def wait_until_replayed(servers: Servers, *replicas: EmbeddedPostgres) -> None:
    """Wait until replicas have replayed all that the primary has written by now."""
    primary = await asyncpg.connect(servers.primary.admin_dsn, timeout=PATIENCE_SECONDS)
    position = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
    await primary.close()
    async with asyncio.timeout(PATIENCE_SECONDS):
        for replica in replicas:
            connection = await asyncpg.connect(replica.admin_dsn, timeout=PATIENCE_SECONDS)
            while not await connection.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", position):
                await asyncio.sleep(0.01)
            await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    """Start servers for one test, which may break them."""
    async with started(tmp_path) as servers:
        yield servers


@asynccontextmanager
async def started(tmp_path: Path) -> AsyncIterator[Servers]:
    """Start a primary with the schema of the shop, and two replicas."""
    async with AsyncExitStack() as stack:
        scratch = Scratch(parent=tmp_path)
        stack.push_async_callback(scratch.close)
        start = PostgresStart(
            scratch=scratch, log_path=tmp_path / "logs" / "postgres.log", environment=base_environment()
        )
        primary = await start_postgres(start, stack=stack)
        await without_waiting_for_the_disk(primary.admin_dsn)
        dsns = await Databases(primary.admin_dsn).create(DATABASES)
        await without_backstops(primary.admin_dsn, DATABASES)
        for name, dsn in dsns.items():
            for folder in MIGRATIONS[name]:
                await migrate(dsn, folder)
        yield Servers(primary, await start_replicas(primary, start, count=2, stack=stack), dsns)


@pytest.fixture
def reserve_per_second() -> float:
    """Return the reads a second that the primary always takes; tests parametrize it."""
    return 1_000.0


@pytest_asyncio.fixture(loop_scope="module")
async def shop(servers: Servers, reserve_per_second: float) -> AsyncIterator[ReplicatedShop]:
    """Yield a shop with ample stock, whose replicas have been sampled."""
    runtime = setup.start("test", log_level="error")
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(postgres, "CONNECT_SECONDS", PATIENCE_SECONDS)
        patch.setattr("services.infra.replicas.SAMPLE_LIMIT_SECONDS", PATIENCE_SECONDS)
        order, stock = runtime.for_context("order"), runtime.for_context("inventory")

        async def open_replicated(name: str, telemetry: Telemetry) -> tuple[Database, Replicas]:
            dsn = servers.wherever_it_is_primary(name)
            database = await Database.open(dsn, pool_size=POOL_SIZE, telemetry=telemetry, name=name)
            stack.push_async_callback(database.close, timeout_seconds=5)
            options = ReplicaOptions(
                # The primary is listed, too: it is a replica once another has taken its place.
                dsns=tuple(servers.on(server, name) for server in (servers.primary, *servers.replicas)),
                pool_size=POOL_SIZE,
                most_lag_seconds=60,
                reserve_per_second=reserve_per_second,
            )
            replicas = await Replicas.open(options, primary=database, telemetry=telemetry, stack=stack, close_seconds=5)
            assert replicas
            return database, replicas

        database, order_replicas = await open_replicated("order", order)
        read_database, list_replicas = await open_replicated("order_read", order)
        stock_database, stock_replicas = await open_replicated("inventory", stock)
        log_database = await Database.open(servers.dsns["event_log"], pool_size=2, telemetry=order, name="event_log")
        stack.push_async_callback(log_database.close, timeout_seconds=5)
        inventory = bootstrap_inventory(
            database=stock_database, telemetry=stock, reservation_ttl_seconds=300, replicas=stock_replicas
        )
        log = PostgresLog(database=log_database)
        orders = bootstrap_order(
            servers=[OrderServer(database=database, log=log)],
            read_database=read_database,
            inventory=inventory.application,
            telemetry=order,
            replicas=OrderReplicas(orders=[order_replicas], lists=list_replicas),
        )
        stack.push_async_callback(orders.servers[0].relay.give_up)
        shop = ReplicatedShop(
            orders, inventory, database, read_database, log, order_replicas, list_replicas, stock_replicas, runtime
        )
        deliveries = (Delivery("A", 100_000, Money("GBP", 100)),)
        await inventory.application.restock(Restock(uuid4().hex, deliveries))
        for replica in servers.replicas:
            await delay(replica, 0)
            await execute(replica.admin_dsn, "SELECT pg_wal_replay_resume()")
        await wait_until_replayed(servers, *servers.replicas)
        await shop.sample()
        yield shop
