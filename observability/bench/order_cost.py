"""Benchmark of what an order costs, in alternating blocks: processor time by process, round trips and spans.

The variants are the platform and the stock parts, with full telemetry and with none, and the platform with full
telemetry by OpenTelemetry's own SDK; each has its own processes. In each round all variants serve the same orders in a
closed loop, in a newly drawn sequence. What a variant spends while nobody orders is measured first, and is subtracted.
"""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import asyncpg
import psutil

from observability.analysis.comparison import Estimate
from observability.bench.paired import estimate, paired_ratio
from observability.bench.stock_parts.running import Served, serving
from observability.bench.telemetry_overhead import CONCURRENCY, NO_LOGS, NO_METRICS, NO_TRACES, quiet, spans_written
from observability.load.arrival_plan import plan_requests
from observability.load.options import LoadOptions
from observability.load.orders import PlannedOrder
from observability.load.runner import run_closed
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform
from services.local.processes.errors import LocalError

FULL, NO_TELEMETRY = "full telemetry", "no telemetry"
STOCK_SDK = "full telemetry, stock SDK"
STOCK_FULL, STOCK_NO_TELEMETRY = "stock parts, full telemetry", "stock parts, no telemetry"
OFF = {**NO_TRACES, **NO_METRICS, **NO_LOGS}
# Processes in the sequence in which an order passes through them.
PROCESSES = ("order", "inventory", "postgres", "notification", "receiver")
EXPORT_EVERY = {"OTEL_BSP_SCHEDULE_DELAY": "500"}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class OrderCostOptions:
    """Options of the benchmark.

    rounds: rounds after the warm-up.
    requests: orders a block.
    lines: lines of an order, the fewest and the most.
    idle_seconds: how long each variant is measured without orders.
    seed: fixes the orders and the sequence of the blocks.
    directory: where the processes write.
    """

    rounds: int
    requests: int
    lines: tuple[int, int]
    idle_seconds: float
    seed: int
    directory: Path


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent since the start or in an interval: CPU seconds by process, round trips to PostgreSQL, spans."""

    cpu_seconds: Mapping[str, float]
    round_trips: float
    spans: float

    def less(self, other: "Spent", times: float = 1.0) -> "Spent":
        """Return this less `times` the other."""
        cpu_seconds = {name: spent - times * other.cpu_seconds[name] for name, spent in self.cpu_seconds.items()}
        return Spent(cpu_seconds, self.round_trips - times * other.round_trips, self.spans - times * other.spans)

    def divided(self, by: float) -> "Spent":
        """Return each figure divided by a number."""
        cpu_seconds = {name: spent / by for name, spent in self.cpu_seconds.items()}
        return Spent(cpu_seconds, self.round_trips / by, self.spans / by)


@dataclass(frozen=True, slots=True)
class OrderCosts:
    """The result, by variant: what each block spent on an order, and what is spent in a second without orders."""

    blocks: Mapping[str, Sequence[Spent]]
    idle: Mapping[str, Spent]

    def cpu(self, variant: str, *processes: str) -> Estimate:
        """Return the processor seconds of an order, of these processes or of all."""
        return estimate(self._cpu(variant, processes))

    def ratio(self, over: str, under: str, *processes: str) -> Estimate:
        """Return the ratio of two variants' processor time, of these processes or of all."""
        return paired_ratio(self._cpu(over, processes), self._cpu(under, processes))

    def _cpu(self, variant: str, processes: Sequence[str]) -> list[float]:
        return [
            sum(spent for name, spent in block.cpu_seconds.items() if not processes or name in processes)
            for block in self.blocks[variant]
        ]


Start = Callable[[Path, Sequence[PlannedOrder]], AbstractAsyncContextManager[Served]]


def platform(environment: Mapping[str, str]) -> Start:
    """Return a function that starts the platform with these environment variables, and with enough stock."""

    @asynccontextmanager
    async def start(folder: Path, plan: Sequence[PlannedOrder]) -> AsyncIterator[Served]:
        options = PlatformOptions(run_directory=folder, environment={"*": environment})
        async with Platform.start(options) as shop:
            endpoints = shop.endpoints
            if endpoints.postgres_pid is None or shop.postgres_admin_dsn is None:
                raise LocalError("the benchmark needs a PostgreSQL of its own: unset PLUMB_POSTGRES_DSN")
            deliveries = ample_stock(line.sku for order in plan for line in order.lines)
            await stock_shop(endpoints.inventory_grpc, deliveries, request_id_prefix="bench")
            pids = {**endpoints.service_pids, "postgres": endpoints.postgres_pid}
            yield Served(endpoints.edge_http, pids, shop.postgres_admin_dsn, endpoints.otlp_http)

    return start


def of_stock_parts(environment: Mapping[str, str]) -> Start:
    """Return a function that starts the stock parts with these environment variables; they begin with enough stock."""
    return lambda folder, _plan: serving(folder, environment=environment)


VARIANTS: Mapping[str, Start] = {
    FULL: platform(EXPORT_EVERY),
    STOCK_SDK: platform({**EXPORT_EVERY, "PLUMB_TELEMETRY_SDK": "stock"}),
    NO_TELEMETRY: platform(OFF),
    STOCK_FULL: of_stock_parts(EXPORT_EVERY),
    STOCK_NO_TELEMETRY: of_stock_parts(OFF),
}


async def measure(options: OrderCostOptions, *, say: Say, variants: Mapping[str, Start] = VARIANTS) -> OrderCosts:
    """Run the benchmark; the blocks of the warm-up round are left out. Raises LocalError, LoadError."""
    plan = plan_requests(requests=options.requests, seed=options.seed, lines=options.lines)
    chance = random.Random(options.seed)
    blocks: dict[str, list[Spent]] = {name: [] for name in variants}
    async with AsyncExitStack() as stack:
        served: dict[str, Served] = {}
        for number, (name, start) in enumerate(variants.items()):
            say(f"starting {name}")
            served[name] = await stack.enter_async_context(start(options.directory / str(number), plan))
        say(f"measuring {options.idle_seconds:.0f} s without orders")
        idle = await without_orders(served, options.idle_seconds)
        for number in range(options.rounds + 1):
            order = chance.sample(list(served), len(served))
            say(f"round {number} of {options.rounds}: {', '.join(order)}" + ("" if number else " (warm-up)"))
            for name in order:
                block = await run_block(served[name], plan, idle[name], seed=options.seed)
                blocks[name] += [block] if number else []
    return OrderCosts(blocks, idle)


async def without_orders(served: Mapping[str, Served], seconds: float) -> dict[str, Spent]:
    """Return what each variant spends in a second while nobody orders; all are measured at once."""
    for each in served.values():
        await quiet(each.otlp_http)
    began, before = monotonic(), {name: await spent_by(each) for name, each in served.items()}
    await asyncio.sleep(seconds)
    elapsed, after = monotonic() - began, {name: await spent_by(each) for name, each in served.items()}
    return {name: after[name].less(before[name]).divided(elapsed) for name in served}


async def run_block(served: Served, plan: Sequence[PlannedOrder], idle: Spent, *, seed: int) -> Spent:
    """Place the plan's orders, and return what one of them cost once all its spans are received."""
    load = LoadOptions(target=served.edge, seed=seed, run_nonce=secrets.token_hex(16), concurrency=CONCURRENCY)
    await quiet(served.otlp_http)
    began, before = monotonic(), await spent_by(served)
    await asyncio.to_thread(run_closed, plan, load)
    await quiet(served.otlp_http)
    elapsed, after = monotonic() - began, await spent_by(served)
    return after.less(before).less(idle, times=elapsed).divided(len(plan))


async def spent_by(served: Served) -> Spent:
    """Return what a variant has spent since it started."""
    cpu_seconds = {name: cpu_of_tree(pid) for name, pid in served.pids.items()}
    return Spent(cpu_seconds, await round_trips(served.admin_dsn), await spans_written(served.otlp_http))


def cpu_of_tree(pid: int) -> float:
    """Return the user and system seconds of a process and of its children, those that ended too."""
    process = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:4]) for each in (process, *process.children(recursive=True)))


async def round_trips(admin_dsn: str) -> float:
    """Return the round trips of clients to a PostgreSQL server: its statements, BEGIN and COMMIT too.

    A SET LOCAL is not counted: the platform sends it with its BEGIN.
    """
    connection = await asyncpg.connect(admin_dsn)
    try:
        select = """
            SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
            WHERE toplevel AND query NOT LIKE 'SET LOCAL %'
                AND userid <> (SELECT oid FROM pg_roles WHERE rolname = current_user)"""
        return float(await connection.fetchval(select))
    finally:
        await connection.close()
