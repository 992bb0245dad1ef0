"""What if traces have nowhere to go? Goodput with such an endpoint and with one that collects, in blocks by turns.

One platform an endpoint stands ready; in each round each serves the same orders, and their turns are drawn anew.
Goodput is what eight customers, who wait for each answer, get sold in a second. What is lost the services count.
"""

import asyncio
import math
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import uuid4

from observability.bench.telemetry_overhead import COUNTED, BenchOptions, OverheadEstimate, Say, estimate, start
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
# Each way, and so narrow that a batch of spans takes longer than the next one takes to come.
SLOW = Delay(latency_seconds=1.0, bytes_per_second=16 * 1024)
CUSTOMERS = 8
# Lost before they were sent, because nothing took them, and on the way.
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


def ratio(blocks: Sequence[OutageBlock], endpoint: str) -> OverheadEstimate:
    """Return the goodput beside that of the endpoint that collects: the mean log-ratio of the rounds, taken back."""
    pairs = zip(of(blocks, endpoint), of(blocks, COLLECTING), strict=True)
    logs = estimate([math.log(one.goodput_per_second / other.goodput_per_second) for one, other in pairs])
    return OverheadEstimate(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high))


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
    """Return host:port of each endpoint that is of no use, for the life of the stack."""
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
    """Return how many spans the services say that they have lost."""
    scrapes = [await scrape(platform.admin[service]) for service in COUNTED]
    return sum(found.total(name, error_type=kind) for found in scrapes for name, kind in LOST)
