"""Servers of the replica benchmark: a primary with orders and two streaming replicas, and a client's reads of them."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psutil

from observability.bench.read_model import session
from observability.telemetry import setup
from services.infra import deadline
from services.infra.migrations import migrate
from services.infra.postgres import Database
from services.infra.replicas import ReplicaOptions, Replicas
from services.infra.worker import Worker
from services.local.platform.plan import base_environment
from services.local.processes.scratch_folder import Scratch
from services.local.servers.databases import Databases, replace_port
from services.local.servers.ports import local_address
from services.local.servers.postgres import EmbeddedPostgres, PostgresStart, start_postgres
from services.local.servers.replicas import start_replicas
from services.order.adapters.event_store import EventStore
from services.order.adapters.postgres import PostgresOrders
from services.order.adapters.replicated import ReplicatedOrders
from services.order.api import OrderLine, PlaceOrder
from services.order.domain.logical_shard import order_id_of
from services.order.domain.order import Order
from services.order.migrate import MIGRATIONS

ORDERS = 5_000
# Share of the reads that read one of the last orders written, and the number of these orders.
RECENT_SHARE, RECENT = 0.1, 10
POOL_SIZE = 8


@dataclass(slots=True)
class ReplicaServers:
    """Servers with orders, an order process's reads, and the version of each order that was acknowledged."""

    primary: EmbeddedPostgres
    standbys: tuple[EmbeddedPostgres, ...]
    database: Database
    orders: PostgresOrders
    reader: ReplicatedOrders
    runtime: setup.Runtime
    chance: random.Random
    ids: list[tuple[UUID, UUID]]
    versions: list[int]
    recent: list[int] = field(default_factory=lambda: [0])
    writes: int = 0

    async def write(self) -> None:
        """Give one order its next version, in a transaction."""
        index = self.chance.randrange(len(self.ids))
        version = self.versions[index] + 1
        update = "UPDATE orders SET version = $2 WHERE order_id = $1 AND version < $2"
        with deadline.within(5):
            async with self.database.transaction("bench") as transaction:
                await transaction.execute("UPDATE orders", update, self.ids[index][0], version)
        self.versions[index] = max(version, self.versions[index])
        self.writes += 1
        self.recent = [index, *self.recent[: RECENT - 1]]

    def pick(self) -> int:
        """Return an order to read, sometimes one of those written last."""
        if self.chance.random() < RECENT_SHARE:
            return self.chance.choice(self.recent)
        return self.chance.randrange(len(self.ids))

    def targets(self) -> dict[str, int]:
        """Return the reads so far by target."""
        labels = {"context": "order", "database": "order"}
        sample = self.runtime.metrics.registry.get_sample_value
        return {
            target: int(sample("shop_replica_reads_total", {**labels, "target": target}) or 0)
            for target in ("replica", "primary", "rejected")
        }

    def waits(self) -> int:
        """Return how many reads waited for a replica so far."""
        labels = {"context": "order", "database": "order"}
        return int(self.runtime.metrics.registry.get_sample_value("shop_replica_wait_seconds_count", labels) or 0)

    def primary_cpu_seconds(self) -> float:
        """Return the CPU time of all processes of the primary."""
        server = psutil.Process(self.primary.process.pid)
        total = 0.0
        for process in (server, *server.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total


async def delay(shop: ReplicaServers, milliseconds: int) -> None:
    """Let the replicas replay each commit this much later."""
    for standby in shop.standbys:
        await administer(standby, f"ALTER SYSTEM SET recovery_min_apply_delay = {milliseconds}")


async def administer(server: EmbeddedPostgres, setting: str) -> None:
    """Change a setting of a running server."""
    async with session(server.admin_dsn) as connection:
        await connection.execute(setting)
        await connection.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def start_replica_servers(*, directory: Path, seed: int) -> AsyncIterator[ReplicaServers]:
    """Start a primary with orders and two replicas, and what reads them, during a with block. Raises LocalError."""
    runtime = setup.start("bench", log_level="error")
    telemetry = runtime.for_context("order")
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        log_path = directory / "postgres.log"
        start = PostgresStart(scratch=scratch, log_path=log_path, environment=base_environment())
        primary = await start_postgres(start, stack=stack)
        dsn = (await Databases(primary.admin_dsn).create(["order"]))["order"]
        for folder in MIGRATIONS:
            await migrate(dsn, folder)
        standbys = await start_replicas(primary, start, count=2, stack=stack)
        hosts = ",".join(str(local_address(server.port)) for server in (primary, *standbys))
        anywhere = dsn.replace(str(local_address(primary.port)), hosts) + "&target_session_attrs=read-write"
        database = await Database.open(anywhere, pool_size=POOL_SIZE, telemetry=telemetry)
        stack.push_async_callback(database.close, timeout_seconds=5)
        replica_options = ReplicaOptions(
            dsns=tuple(replace_port(dsn, standby.port) for standby in standbys),
            pool_size=POOL_SIZE,
            most_lag_seconds=10,
            reserve_per_second=10,
        )
        replicas = await Replicas.open(
            replica_options, primary=database, telemetry=telemetry, stack=stack, close_seconds=5
        )
        if replicas is None:
            raise AssertionError("the options list replicas")
        event_store = EventStore(sent=lambda _type: "", grace_seconds=60)
        orders = PostgresOrders(database=database, event_store=event_store)
        reader = ReplicatedOrders(
            primary=orders,
            replicas=replicas,
            on_replica=lambda replica: PostgresOrders(database=replica, event_store=event_store),
        )
        ids = await place_orders(orders)
        await replicas.step()
        sampling = Worker("replicas", replicas.step, telemetry=telemetry)
        await sampling.start()
        stack.push_async_callback(sampling.stop, grace_seconds=5)
        chance = random.Random(seed)
        yield ReplicaServers(primary, standbys, database, orders, reader, runtime, chance, ids, [1] * len(ids))


async def place_orders(orders: PostgresOrders) -> list[tuple[UUID, UUID]]:
    """Store orders of five lines; return the id and the customer of each."""
    ids, left = list[tuple[UUID, UUID]](), iter(range(ORDERS))
    lines = tuple(OrderLine(str(10_000 + number), 1) for number in range(5))

    async def place() -> None:
        for _ in left:
            customer_id = uuid4()
            order_id = order_id_of(customer_id, uuid4())
            change = Order.place(order_id=order_id, customer_id=customer_id, lines=lines, at=datetime.now(UTC))
            with deadline.detached(10):
                await orders.add(change, PlaceOrder(uuid4().hex, customer_id, lines))
            ids.append((order_id, customer_id))

    await asyncio.gather(*(place() for _ in range(POOL_SIZE)))
    return ids
