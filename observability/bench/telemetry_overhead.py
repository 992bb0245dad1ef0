"""Benchmark of telemetry's overhead: CPU of the services a request, with each part on and off, in alternating blocks.

Each variant has its own running platform. In each round all serve the same orders, in a newly drawn sequence. A block's
CPU is the user and system time of the order and inventory processes until their last span is received.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from observability.analysis.comparison import Estimate
from observability.bench.paired import estimate, paired_ratio
from observability.load.arrival_plan import plan_requests
from observability.load.options import LoadOptions
from observability.load.orders import PlannedOrder
from observability.load.runner import run_closed
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform

NO_TRACES = {"OTEL_SDK_DISABLED": "true"}
NO_METRICS = {"OTEL_METRICS_EXPORTER": "none"}
NO_LOGS = {"LOG_LEVEL": "warning"}
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "all on": {},
    "traces off": NO_TRACES,
    "metrics off": NO_METRICS,
    "logs off": NO_LOGS,
    "all off": {**NO_TRACES, **NO_METRICS, **NO_LOGS},
}
COUNTED = ("order", "inventory")
CONCURRENCY = 4
# The batch processor's delay; a block ends when the receiver has received nothing for longer.
EXPORT_DELAY_SECONDS = 0.5
QUIET_SECONDS = 1.0
QUIET_AT_MOST_SECONDS = 15.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """Options of the benchmark.

    rounds: rounds after the warm-up.
    requests: orders a block.
    seed: fixes the orders and the sequence of the blocks.
    directory: where the platforms write.
    """

    rounds: int
    requests: int
    seed: int
    directory: Path


@dataclass(frozen=True, slots=True)
class OverheadBlock:
    """One variant's block: CPU seconds and spans a request."""

    variant: str
    cpu_seconds: float
    spans: float


def paired(blocks: Iterable[OverheadBlock], variant: str) -> list[float]:
    """Return a variant's CPU seconds a request, round by round."""
    return [block.cpu_seconds for block in blocks if block.variant == variant]


def ratio(blocks: Sequence[OverheadBlock], over: str, under: str) -> Estimate:
    """Return the ratio of two variants' CPU: the geometric mean over the rounds."""
    return paired_ratio(paired(blocks, over), paired(blocks, under))


def share(blocks: Sequence[OverheadBlock], without: str) -> Estimate:
    """Return the CPU seconds a request that a part costs: all on, less the variant without it, pair by pair."""
    pairs = zip(paired(blocks, "all on"), paired(blocks, without), strict=True)
    return estimate([a - b for a, b in pairs])


async def measure(
    options: BenchOptions, *, say: Say, variants: Mapping[str, Mapping[str, str]] = VARIANTS
) -> list[OverheadBlock]:
    """Run the benchmark and return its blocks, without those of the warm-up round. Raises LocalError, LoadError."""
    plan = plan_requests(requests=options.requests, seed=options.seed)
    chance = random.Random(options.seed)
    blocks: list[OverheadBlock] = []
    async with AsyncExitStack() as stack:
        platforms = {name: await start(name, each, options, plan, stack, say) for name, each in variants.items()}
        for number in range(options.rounds + 1):
            order = chance.sample(list(platforms), len(platforms))
            say(f"round {number} of {options.rounds}: {', '.join(order)}" + ("" if number else " (warm-up)"))
            measured = [await run_block(name, platforms[name], plan, options.seed) for name in order]
            blocks += measured if number else []
    return blocks


async def start(
    name: str,
    variant: Mapping[str, str],
    options: BenchOptions,
    plan: Sequence[PlannedOrder],
    stack: AsyncExitStack,
    say: Say,
) -> Endpoints:
    """Start and stock the platform of one variant, for the life of the stack."""
    say(f"starting a platform with {name}")
    environment = {"OTEL_BSP_SCHEDULE_DELAY": str(round(EXPORT_DELAY_SECONDS * 1_000)), **variant}
    directory = options.directory / name.replace(" ", "-")
    platform_options = PlatformOptions(run_directory=directory, environment=dict.fromkeys(COUNTED, environment))
    endpoints = (await stack.enter_async_context(Platform.start(platform_options))).endpoints
    deliveries = ample_stock(line.sku for order in plan for line in order.lines)
    await stock_shop(endpoints.inventory_grpc, deliveries, request_id_prefix="bench")
    return endpoints


async def run_block(name: str, endpoints: Endpoints, plan: Sequence[PlannedOrder], seed: int) -> OverheadBlock:
    """Place the plan's orders on one platform and return what one of them cost."""
    processes = [psutil.Process(endpoints.service_pids[service]) for service in COUNTED]
    load = LoadOptions(target=endpoints.edge_http, seed=seed, run_nonce=uuid4().hex, concurrency=CONCURRENCY)
    spans_before, cpu_before = await quiet(endpoints.otlp_http), cpu_seconds(processes)
    await asyncio.to_thread(run_closed, plan, load)
    spans_after, cpu_after = await quiet(endpoints.otlp_http), cpu_seconds(processes)
    return OverheadBlock(name, (cpu_after - cpu_before) / len(plan), (spans_after - spans_before) / len(plan))


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Return the user and system time of processes, over all threads."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


async def quiet(receiver: str) -> float:
    """Return the number of spans that the receiver has written, once it has written none for a while."""
    seen = await spans_written(receiver)
    async with asyncio.timeout(QUIET_AT_MOST_SECONDS):
        while True:
            await asyncio.sleep(QUIET_SECONDS)
            before, seen = seen, await spans_written(receiver)
            if seen == before:
                return seen


async def spans_written(receiver: str) -> float:
    """Return the receiver's own count."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{receiver}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        return sum(
            float(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == "receiver_spans_written_total"
        )
