"""Benchmark of shard keys: the same baskets on four PostgreSQL servers, by user, by region and by time.

Each key has a database on each server, and all keys replay each window of baskets in a drawn sequence. An order is
placed and completed as the shop does it, without inventory; it is read by its id, and after every second order its
customer lists their orders. A server's work is the rows that it stored and the time that its statements took. On one
machine the servers share the processors, so ratios between servers are measured, and no scale-out.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from observability.bench.read_model import session
from observability.bench.shard_key_demand import KEYS, KeyedBasket, server_of, servers_of_list
from observability.telemetry import setup
from observability.telemetry.telemetry import Telemetry
from services.infra.migrations import migrate
from services.infra.postgres import Database
from services.kernel.money import Money
from services.local.platform.plan import base_environment
from services.local.processes.scratch_folder import Scratch
from services.local.servers.databases import Databases
from services.local.servers.postgres import PostgresStart, start_postgres
from services.order.adapters.event_store import EventStore
from services.order.adapters.postgres import PostgresOrders
from services.order.api import CancelOrder, OrderLine, PlaceOrder
from services.order.domain.logical_shard import order_id_of
from services.order.domain.order import Order
from services.order.domain.shard_map import ShardMap, spread
from services.order.migrate import MIGRATIONS

POOL_SIZE = 4
GRACE_SECONDS = 60.0
PRICE = Money("GBP", 100)
LIST_EVERY, CANCEL_EVERY = 2, 20
# Purpose: a customer's newest orders on one server, by the index on customers.
LIST = """
    SELECT order_id, create_time FROM orders WHERE customer_id = $1 ORDER BY create_time DESC, order_id DESC LIMIT 20"""
# Purpose: the rows that a server has stored of orders.
ROWS = """
    SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM order_lines) + (SELECT count(*) FROM events)
        + (SELECT count(*) FROM outbox) + (SELECT count(*) FROM idempotency_keys)"""
# Purpose: the time that statements took in each database since the server started.
TIMES = """
    SELECT datname, sum(total_plan_time + total_exec_time) / 1000 AS seconds
    FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid WHERE datname = ANY($1) GROUP BY datname"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ShardKeysBenchOptions:
    """Options of the benchmark.

    servers: PostgreSQL servers.
    window: baskets between two measurements of the servers.
    concurrency: customers at the same time.
    seed: fixes the sequence of the keys.
    directory: where the servers' logs go.
    """

    servers: int
    window: int
    concurrency: int
    seed: int
    directory: Path


@dataclass(slots=True)
class KeyFigures:
    """What was measured of one key.

    rows: stored rows in each window, by server.
    seconds: seconds of statements in each window, by server.
    asked: servers that were asked, for each request, by use case.
    list_seconds: seconds of each list.
    """

    rows: list[list[float]] = field(default_factory=list)
    seconds: list[list[float]] = field(default_factory=list)
    asked: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    list_seconds: list[float] = field(default_factory=list)

    @property
    def share_on_several(self) -> float:
        """Share of the requests that asked more than one server."""
        requests = [servers for counts in self.asked.values() for servers in counts]
        return sum(servers > 1 for servers in requests) / len(requests)


def hot_spot_ratio(windows: Sequence[Sequence[float]]) -> float:
    """Return the busiest server's part over the mean part, the mean over the windows."""
    ratios = [max(parts) * len(parts) / sum(parts) for parts in windows]
    return sum(ratios) / len(ratios)


async def measure(
    options: ShardKeysBenchOptions, baskets: Sequence[KeyedBasket], *, say: Say
) -> Mapping[str, KeyFigures]:
    """Replay the baskets under each key. Raises LocalError."""
    chance, shard_map = random.Random(options.seed), spread(options.servers, epoch=1)
    async with AsyncExitStack() as stack:
        runtime = setup.start("bench-shard-keys", log_level="warning")
        stack.callback(runtime.shut_down, timeout_seconds=1.0)
        say(f"starting {options.servers} PostgreSQL servers")
        telemetry = runtime.for_context("order")
        servers = [await ShardServer.open(number, options, telemetry, stack) for number in range(options.servers)]
        replays = {key: KeyReplay(key, servers, shard_map) for key in KEYS}
        for first in range(0, len(baskets), options.window):
            window = baskets[first : first + options.window]
            for key in chance.sample(KEYS, len(KEYS)):
                await replays[key].run(window, concurrency=options.concurrency)
            say(f"{first + len(window):,} of {len(baskets):,} baskets under each key")
        return {key: replay.figures for key, replay in replays.items()}


@dataclass(frozen=True, slots=True)
class ShardServer:
    """A PostgreSQL server with a database and a connection pool for each key."""

    admin_dsn: str
    databases: Mapping[str, Database]
    orders: Mapping[str, PostgresOrders]

    @staticmethod
    async def open(
        number: int, options: ShardKeysBenchOptions, telemetry: Telemetry, stack: AsyncExitStack
    ) -> "ShardServer":
        """Start it for the life of the stack."""
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        log_path = options.directory / f"postgres-{number}.log"
        start = PostgresStart(scratch=scratch, log_path=log_path, environment=base_environment())
        server = await start_postgres(start, stack=stack)
        creation = Databases(server.admin_dsn)
        dsns = await creation.create(KEYS)
        await creation.prepare_own_server(KEYS)
        databases = {}
        for key, dsn in dsns.items():
            for folder in MIGRATIONS:
                await migrate(dsn, folder)
            database = await Database.open(dsn, pool_size=POOL_SIZE, telemetry=telemetry, name=f"{key}_{number}")
            stack.push_async_callback(database.close, timeout_seconds=5.0)
            databases[key] = database
        event_store = EventStore(sent=lambda _type: "", grace_seconds=GRACE_SECONDS)
        orders = {key: PostgresOrders(database=each, event_store=event_store) for key, each in databases.items()}
        return ShardServer(server.admin_dsn, databases, orders)

    async def rows(self, key: str) -> float:
        """Return the number of rows that a key's database has stored."""
        ((rows,),) = await self.databases[key].fetch("SELECT count", ROWS)
        return float(rows)

    async def seconds(self, key: str) -> float:
        """Return the seconds that the statements in a key's database took so far."""
        async with session(self.admin_dsn) as connection:
            found = await connection.fetch(TIMES, [key])
        return float(found[0]["seconds"]) if found else 0.0


class KeyReplay:
    """The replay of baskets under one key."""

    def __init__(self, key: str, servers: Sequence[ShardServer], shard_map: ShardMap) -> None:
        self.figures = KeyFigures()
        self._key = key
        self._servers = servers
        self._map = shard_map

    async def run(self, baskets: Sequence[KeyedBasket], *, concurrency: int) -> None:
        """Replay a window of baskets, and record what each server did."""
        rows_before, seconds_before = await self._work()
        remaining = iter(enumerate(baskets))

        async def customers() -> None:
            for number, basket in remaining:
                await self._serve(number, basket)

        await asyncio.gather(*(customers() for _ in range(concurrency)))
        # The seconds are read first: counting the rows takes time, too.
        seconds = [await server.seconds(self._key) for server in self._servers]
        rows = [await server.rows(self._key) for server in self._servers]
        self.figures.rows.append([after - before for after, before in zip(rows, rows_before, strict=True)])
        self.figures.seconds.append([after - before for after, before in zip(seconds, seconds_before, strict=True)])

    async def _work(self) -> tuple[list[float], list[float]]:
        rows = [await server.rows(self._key) for server in self._servers]
        return rows, [await server.seconds(self._key) for server in self._servers]

    async def _serve(self, number: int, basket: KeyedBasket) -> None:
        """Place and complete an order, read it, and now and then list or cancel."""
        server = server_of(self._key, basket, self._map)
        orders = self._servers[server].orders[self._key]
        order = await self._place(orders, basket)
        await orders.get(order.order_id, basket.customer_id)
        asked = self.figures.asked
        asked["PlaceOrder"].append(1)
        asked["GetOrder"].append(1)
        if number % LIST_EVERY == 0:
            await self._list(basket)
        if number % CANCEL_EVERY == 0:
            cancel = CancelOrder(uuid4().hex, basket.customer_id, order.order_id)
            await orders.claim(cancel, order.request_cancellation(at=datetime.now(UTC)))
            asked["CancelOrder"].append(1)

    async def _place(self, orders: PostgresOrders, basket: KeyedBasket) -> Order:
        lines = tuple(OrderLine(line.sku, line.quantity or 1) for line in basket.lines)
        command = PlaceOrder(uuid4().hex, basket.customer_id, lines)
        order_id = order_id_of(basket.customer_id, uuid4())
        placed = Order.place(order_id=order_id, customer_id=basket.customer_id, lines=lines, at=datetime.now(UTC))
        await orders.add(placed, command)
        sale = placed.order.complete({line.sku: PRICE for line in lines}, at=datetime.now(UTC))
        await orders.save(sale)
        return sale.order

    async def _list(self, basket: KeyedBasket) -> list[UUID]:
        """Return a customer's newest orders, from all servers that may have some."""
        servers = servers_of_list(self._key, basket, self._map)
        began = time.perf_counter()
        pages = await asyncio.gather(
            *(
                self._servers[each].databases[self._key].fetch("SELECT orders page", LIST, basket.customer_id)
                for each in servers
            )
        )
        newest = sorted((row["create_time"], row["order_id"]) for page in pages for row in page)[-20:]
        self.figures.list_seconds.append(time.perf_counter() - began)
        self.figures.asked["ListOrders"].append(len(servers))
        return [order_id for _, order_id in newest]
