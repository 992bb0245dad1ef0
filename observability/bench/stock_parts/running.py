"""Run of the stock parts (FastAPI, SQLAlchemy, gRPC) on the embedded PostgreSQL, under load, with recorded traces."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.schema import CreateSchema

from observability.bench.stock_parts.models import SCHEMA, InventoryBase, OrderBase, open_engine
from observability.bench.stock_parts.settings import StockFault
from observability.experiments.blocking_call import TABLE as AUDIT_TABLE
from observability.experiments.payload import POINTS
from observability.experiments.slow_call import HASH
from observability.load.demand import SKU_COUNT, sku_of_rank
from observability.load.generator import GeneratorTask
from observability.load.generator_process import Load, run_load
from observability.load.options import LoadOptions, Progress
from observability.network.proxy import Delay, Proxy, rerouted
from observability.testbed.process_metrics import Process, open_processes
from services.infra.address import parse_address
from services.local.platform.foundation import Foundation
from services.local.platform.plan import PlatformOptions
from services.local.processes.errors import LocalError
from services.local.servers.ports import free_port, local_address

MODULES = {name: f"{__package__}.{name}" for name in ("inventory", "order")}
START_SECONDS = 180.0
STATEMENT_SECONDS = 120.0
HASH_ROUNDS = 30_000
# The first customer has this many entries of points, the second twice as many, and so on.
POINTS_ENTRIES = 5_000
CUSTOMERS = tuple(str(UUID(int=number, version=4)) for number in range(1, 9))
STOCK = """
    INSERT INTO stock_parts.items (sku, on_hand, reserved, unit_price_minor)
    SELECT ({first} + number)::text, 1000000000, 0, 250 FROM generate_series(0, {skus} - 1) AS number"""
# Lines of earlier reservations: a sequential scan of so many takes tens of milliseconds.
FILL = """
    INSERT INTO stock_parts.reservation_lines (reservation_id, line_number, sku, quantity, unit_price_minor)
    SELECT md5((number / 10)::text)::uuid, number % 10 + 1, '10001', 1, 250 FROM generate_series(0, 299999) AS number"""
WITHOUT_INDEX = (
    FILL,
    "ALTER TABLE stock_parts.reservation_lines DROP CONSTRAINT reservation_lines_pkey",
    "ANALYZE stock_parts.reservation_lines",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDelays:
    """Delays on the network paths that a fault needs; None: no delay."""

    order_database: Delay | None = None
    inventory_database: Delay | None = None
    inventory: Delay | None = None


# With a database some milliseconds away, a connection or lock is held while the processor is idle, so that it and not
# the processor is the bottleneck.
NETWORK_DELAYS: Mapping[StockFault, NetworkDelays] = {
    StockFault.POOL: NetworkDelays(inventory_database=Delay(latency_seconds=0.003)),
    StockFault.SERIAL_RESOURCE: NetworkDelays(inventory_database=Delay(latency_seconds=0.003)),
    StockFault.CONCURRENCY_LIMIT: NetworkDelays(inventory_database=Delay(latency_seconds=0.006)),
    StockFault.BLOCKING_CALL: NetworkDelays(order_database=Delay(latency_seconds=0.003)),
    StockFault.NETWORK_LATENCY: NetworkDelays(inventory=Delay(latency_seconds=0.02)),
}


@dataclass(frozen=True, slots=True)
class Served:
    """A shop that takes orders.

    edge: host:port of its edge.
    pids: process ids by name, PostgreSQL's and the receiver's too.
    admin_dsn: the administrator's connection to PostgreSQL, with its password.
    otlp_http: host:port of the receiver of its spans.
    """

    edge: str
    pids: Mapping[str, int]
    admin_dsn: str = field(repr=False)
    otlp_http: str


@asynccontextmanager
async def serving(
    folder: Path, fault: StockFault = StockFault.NONE, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """Serve the stock parts for the `async with` block, with extra variables of both services.

    Spans go to `folder`/traces, the last ones at the end of the block. Raises LocalError.
    """
    options = PlatformOptions(run_directory=folder, modules=MODULES)
    async with Foundation.start(options) as foundation, AsyncExitStack() as stack:
        if foundation.postgres is None:
            raise LocalError("the stock parts need a PostgreSQL of their own: unset PLUMB_POSTGRES_DSN")
        databases, postgres = foundation.databases, str(local_address(foundation.postgres.port))
        await make_tables(databases, fault)
        delays, common = NETWORK_DELAYS.get(fault, NetworkDelays()), {"STOCK_FAULT": fault, **(environment or {})}
        inventory = await start(
            foundation,
            "inventory",
            stack,
            **common,
            STOCK_DATABASE_DSN=rerouted(
                databases["inventory"], await behind_proxy(postgres, delays.inventory_database, stack)
            ),
            STOCK_POOL_SIZE="1" if fault is StockFault.POOL else "8",
        )
        order = await start(
            foundation,
            "order",
            stack,
            **common,
            STOCK_DATABASE_DSN=rerouted(databases["order"], await behind_proxy(postgres, delays.order_database, stack)),
            STOCK_INVENTORY_TARGET=await behind_proxy(inventory, delays.inventory, stack),
        )
        pids = {name: process.pid for name, process in foundation.launcher.processes.items()}
        pids["postgres"] = foundation.postgres.process.pid
        yield Served(order, pids, foundation.postgres.admin_dsn, foundation.otlp_http)


async def start(foundation: Foundation, name: str, stack: AsyncExitStack, **settings: str) -> str:
    """Start a service, which the stack stops, and return its host:port once it accepts connections."""
    launcher, port = foundation.launcher, free_port()
    process = launcher.start(name, {"STOCK_SERVICE_NAME": name, "STOCK_PORT": str(port), **settings})
    stack.push_async_callback(launcher.stop, process)

    async def accepts() -> bool:
        return await asyncio.to_thread(accepts_connections, port)

    if not await process.ready_within(START_SECONDS, accepts):
        raise process.failure(await process.exited())
    return str(local_address(port))


def accepts_connections(port: int) -> bool:
    """Return whether a server listens on a port of this machine."""
    try:
        with socket.create_connection(local_address(port), timeout=1.0):
            return True
    except OSError:
        return False


async def behind_proxy(target: str, delay: Delay | None, stack: AsyncExitStack) -> str:
    """Return host:port of a proxy with a delay, which the stack closes; the target itself without a delay."""
    if delay is None:
        return target
    return (await stack.enter_async_context(Proxy.open(target=parse_address(target), delay=delay, seed=0))).address


async def make_tables(databases: Mapping[str, str], fault: StockFault) -> None:
    """Create the tables of both services, stock every SKU, and prepare what a fault needs."""
    for name, base in (("inventory", InventoryBase), ("order", OrderBase)):
        engine = open_engine(databases[name], pool_size=1)
        async with engine.begin() as connection:
            await connection.execute(CreateSchema(SCHEMA))
            await connection.run_sync(base.metadata.create_all)
        await engine.dispose()
    statements = [STOCK.format(first=sku_of_rank(1), skus=SKU_COUNT)]
    if fault is StockFault.MISSING_INDEX:
        statements += WITHOUT_INDEX
    if fault is StockFault.SLOW_CALL:
        statements.append(HASH.format(rounds=HASH_ROUNDS).replace("hash_of_code", f"{SCHEMA}.hash_of_code", 1))
    await run(databases["inventory"], statements)
    if fault is StockFault.BLOCKING_CALL:
        await run(databases["order"], [AUDIT_TABLE])
    if fault is StockFault.PAYLOAD:
        points = POINTS.format(customers=",".join(CUSTOMERS), entries=POINTS_ENTRIES)
        await run(databases["order"], [f"SET search_path TO {SCHEMA}", points])


async def run(dsn: str, statements: list[str]) -> None:
    """Run statements as the owner of a database; each may take two minutes."""
    connection = await asyncpg.connect(dsn, timeout=STATEMENT_SECONDS, command_timeout=STATEMENT_SECONDS)
    try:
        await connection.execute("SET statement_timeout = 0")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close(timeout=STATEMENT_SECONDS)


async def load(
    served: Served, *, folder: Path, seed: int, rate_per_second: float, duration_seconds: float, lines: tuple[int, int]
) -> Load:
    """Send orders to the edge in an open loop, as to the platform's own. Raises LoadError."""
    options = LoadOptions(
        target=served.edge,
        seed=seed,
        run_nonce=secrets.token_hex(4),
        rate_per_second=rate_per_second,
        duration_seconds=duration_seconds,
    )
    task = GeneratorTask(
        options=options,
        rate_per_second=rate_per_second,
        duration_seconds=duration_seconds,
        result_path=folder / "load.json",
        lines=lines,
        hot_customers=CUSTOMERS,
        hot_share=1.0,
    )
    return await run_load(task, log_path=folder / "load.log", on_progress=_silent)


@contextmanager
def recording_processes(served: Served, folder: Path) -> Iterator[None]:
    """Record the processor use of each process over a with block, in the folder of the traces."""
    pids = {name: pid for name, pid in served.pids.items() if name != "postgres"}
    processes = open_processes(pids, {"postgres": served.pids["postgres"]})
    with (folder / "processes.jsonl").open("wb") as samples:
        samples.writelines(_samples(processes))
        yield
        samples.writelines(_samples(processes))


def _samples(processes: Mapping[str, Process]) -> Iterator[bytes]:
    """Yield the counters of each process as lines of an observation's file."""
    for name, process in processes.items():
        sample = {"at": time.time(), "process": name, **asdict(process.use())}
        yield orjson.dumps(sample, option=orjson.OPT_APPEND_NEWLINE)


def _silent(_progress: Progress) -> None:
    """Report no progress."""
