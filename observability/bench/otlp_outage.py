"""Benchmark of an OTLP outage: goodput with unusable trace endpoints and with a working one, in alternating blocks.

Each endpoint has its own running platform. In each round all serve the same orders, in a newly drawn sequence. Goodput
is the orders a second sold to eight customers in a closed loop. Lost spans are counted by the services.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import uuid4

from observability.analysis.comparison import Estimate
from observability.bench.paired import paired_ratio
from observability.bench.telemetry_overhead import COUNTED, BenchOptions, Say, start
from observability.chaos.campaign_context import scrape
from observability.load.arrival_plan import plan_requests
from observability.load.options import LoadOptions
from observability.load.orders import PlannedOrder
from observability.load.runner import run_closed
from observability.network.proxy import Address, Delay, Impairment, Proxy
from services.infra.address import parse_address
from services.local.platform.endpoints import Endpoints
from services.local.servers.ports import free_port, local_address

COLLECTING = "collecting"
# Each way, and so narrow that sending a batch of spans takes longer than producing the next one.
SLOW = Delay(latency_seconds=1.0, bytes_per_second=16 * 1024)
CUSTOMERS = 8
# Counters of spans lost in a full queue, and in a failed export.
LOST = (
    ("otel_sdk_processor_span_processed_total", "queue_full"),
    ("otel_sdk_exporter_span_exported_total", "export_failed"),
)


@dataclass(frozen=True, slots=True)
class OutageBlock:
    """One endpoint's block: orders sold a second, the slowest hundredth of the answers in seconds, spans lost."""

    endpoint: str
    goodput_per_second: float
    p99_seconds: float
    lost_spans: float


def of(blocks: Sequence[OutageBlock], endpoint: str) -> list[OutageBlock]:
    """Return an endpoint's blocks, round by round."""
    return [block for block in blocks if block.endpoint == endpoint]


def ratio(blocks: Sequence[OutageBlock], endpoint: str) -> Estimate:
    """Return the goodput relative to that of the working endpoint: geometric mean over the rounds, with interval."""
    own, collecting = of(blocks, endpoint), of(blocks, COLLECTING)
    return paired_ratio([block.goodput_per_second for block in own], [block.goodput_per_second for block in collecting])


async def measure(options: BenchOptions, *, say: Say) -> list[OutageBlock]:
    """Run the benchmark and return its blocks, without those of the warm-up round.

    Raises LocalError, LoadError, TestbedError.
    """
    plan = plan_requests(requests=options.requests, seed=options.seed)
    chance = random.Random(options.seed)
    blocks: list[OutageBlock] = []
    async with AsyncExitStack() as stack:
        platforms = {COLLECTING: await start(COLLECTING, {}, options, plan, stack, say)}
        receiver = parse_address(platforms[COLLECTING].otlp_http)
        for name, address in (await endpoints(receiver, stack)).items():
            variant = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}"}
            platforms[name] = await start(name, variant, options, plan, stack, say)
        for number in range(options.rounds + 1):
            turns = chance.sample(list(platforms), len(platforms))
            say(f"round {number} of {options.rounds}: {', '.join(turns)}" + ("" if number else " (warm-up)"))
            measured = [await run_block(name, platforms[name], plan, options.seed) for name in turns]
            blocks += measured if number else []
    return blocks


async def endpoints(receiver: Address, stack: AsyncExitStack) -> dict[str, str]:
    """Start each unusable endpoint for the life of the stack, and return their host:port."""
    slow = await stack.enter_async_context(Proxy.open(target=receiver, delay=SLOW, seed=0))
    dark = await stack.enter_async_context(Proxy.open(target=receiver, delay=Delay(latency_seconds=0.0), seed=0))
    stack.enter_context(dark.impaired(Impairment.BLACKHOLE))
    return {"down": str(local_address(free_port())), "slow": slow.address, "blackholed": dark.address}


async def run_block(name: str, platform: Endpoints, plan: Sequence[PlannedOrder], seed: int) -> OutageBlock:
    """Place the plan's orders on one platform."""
    load = LoadOptions(target=platform.edge_http, seed=seed, run_nonce=uuid4().hex, concurrency=CUSTOMERS)
    lost = await lost_spans(platform)
    result = await asyncio.to_thread(run_closed, plan, load)
    summary = result.summary()
    assert summary.latency is not None, "a run without a single answer is an error"
    return OutageBlock(
        endpoint=name,
        goodput_per_second=summary.confirmed / result.elapsed_seconds,
        p99_seconds=summary.latency.p99,
        lost_spans=await lost_spans(platform) - lost,
    )


async def lost_spans(platform: Endpoints) -> float:
    """Return the number of spans that the services have lost."""
    scrapes = [await scrape(platform.admin[service]) for service in COUNTED]
    return sum(found.total(name, error_type=kind) for found in scrapes for name, kind in LOST)
