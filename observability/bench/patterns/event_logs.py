"""Benchmark of the pattern boring technology: an event log in PostgreSQL, compared with one in NATS JetStream."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from observability.bench.patterns.blocks import (
    RATE_PER_SECOND,
    WARM_UP_SECONDS,
    Blocks,
    PatternBench,
    cpu_ratio,
    latency_ratio,
    shuffled,
)
from observability.bench.patterns.effect import PatternEffect
from observability.bench.patterns.variants import LINES, orders
from observability.experiments.runner.block import Block, Schedule, block_of, load
from observability.experiments.runner.testbed import DRAIN_DELAYS, Serving, memory_with_room
from observability.experiments.runner.trial import silent
from observability.load.demand import SKU_COUNT, sku_of_rank
from observability.load.errors import LoadUsageError
from observability.load.host_usage import default_cpu, usable_cpus
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from observability.testbed.overload_protection import UNPROTECTED
from observability.testbed.process_group import ProcessGroup, ProcessGroupOptions
from observability.testbed.process_metrics import pin
from services.local.platform.endpoints import Bus
from services.local.servers.ports import local_address

SIDES: dict[str, Bus] = {"PostgreSQL": "postgres", "NATS JetStream": "nats"}


async def event_logs(bench: PatternBench) -> list[PatternEffect]:
    """Serve the same orders on two platforms alternately, and compare their processor time and latency."""
    blocks: dict[str, list[Block]] = {side: [] for side in SIDES}
    async with AsyncExitStack() as stack:
        platforms = {side: await stack.enter_async_context(platform(bench, bus)) for side, bus in SIDES.items()}
        for serving in platforms.values():  # the first orders load code and open connections
            await one_block(bench, serving, seed=bench.seed)
        for turn, sides in enumerate(shuffled(bench, list(SIDES), name="event logs"), start=1):
            bench.say(f"event logs: turn {turn} of {bench.sizes.pairs}: {', '.join(sides)}")
            for side in sides:
                blocks[side].append(await one_block(bench, platforms[side], seed=1_000 * bench.seed + turn))
    return effects(blocks)


@asynccontextmanager
async def platform(bench: PatternBench, bus: Bus) -> AsyncIterator[Serving]:
    """Run a stocked platform with this event log during a with block."""
    options = ProcessGroupOptions(
        folder=bench.folder / bus,
        mode="services",
        bus=bus,
        environment=DRAIN_DELAYS | UNPROTECTED,
        temporary_directory=memory_with_room(),
    )
    async with ProcessGroup.open(options) as group:
        foundation = group.foundation
        if foundation.postgres is None:
            raise LoadUsageError("this benchmark needs a PostgreSQL of its own: unset PLUMB_POSTGRES_DSN")
        await group.start_all()
        skus = ample_stock(sku_of_rank(rank) for rank in range(1, SKU_COUNT + 1))
        await stock_shop(str(local_address(group.ports.inventory_grpc)), skus, request_id_prefix="patterns")
        pids = {name: group.handles[name].pid for name in group.processes}
        pids["receiver"] = foundation.launcher.processes["receiver"].pid
        if foundation.nats is not None:
            pids["nats-server"] = foundation.nats.process.pid
        postgres_pid, generator_cpu = foundation.postgres.process.pid, default_cpu()
        if generator_cpu is not None:
            pin([postgres_pid, *pids.values()], usable_cpus() - {generator_cpu})
        yield Serving(
            edge=str(local_address(group.ports.edge_http)),
            admin={name: group.admin_address(name) for name in group.processes},
            pids=pids,
            postgres_pids={"postgres": postgres_pid},
            admin_dsn=foundation.postgres.admin_dsn,
            databases=foundation.databases,
            traces=foundation.options.traces_directory,
            generator_cpu=generator_cpu,
        )


async def one_block(bench: PatternBench, serving: Serving, *, seed: int) -> Block:
    """Send orders to one of the platforms."""
    schedule = Schedule(
        rate_per_second=RATE_PER_SECOND,
        warm_up_seconds=WARM_UP_SECONDS,
        duration_seconds=bench.sizes.block_seconds,
        seed=seed,
        demand=orders(LINES),
    )
    with tempfile.TemporaryDirectory(dir=bench.folder) as scratch:
        run, cpu_seconds = await load(serving, schedule, scratch=Path(scratch), on_progress=silent)
    return block_of(run, schedule, cpu_seconds)


def effects(blocks: Blocks) -> list[PatternEffect]:
    """Return the ratios of the two logs."""
    what = "event log in PostgreSQL / in NATS JetStream"
    return [
        cpu_ratio(f"processor time an order over all processes and servers, {what}", blocks, *SIDES),
        latency_ratio(f"median latency of an order, {what}", blocks, *SIDES),
    ]
