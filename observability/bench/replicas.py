"""Benchmark of read replicas: stale reads at each lag, the primary's CPU, the loss of a replica, and a promotion.

Servers are real, with a primary and two streaming replicas; the reads are those of an order process, in this process.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from observability.bench.replica_servers import ReplicaServers, administer, delay, start_replica_servers
from services.infra import deadline
from services.kernel.errors import ServiceError
from services.local.servers.replicas import promote
from services.order.api import ReadModelBehind

LAGS_MILLISECONDS = (0, 50, 500, 5_000)
READERS = 8
WRITERS = 4
WRITES_PER_SECOND = 100.0
READS_PER_SECOND = 200.0
# Reads without a token for each one with it.
UNTOKENED_SHARE = 0.1
CPU_BLOCKS = 6
WINDOW_SECONDS = 5.0
RUN_SECONDS = 300.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LagResult:
    """Reads at one lag: counts, and seconds at the 99th percentile of the reads that waited, and of all."""

    lag_milliseconds: int
    reads: int
    stale: int
    untokened_reads: int
    untokened_stale: int
    by_target: Mapping[str, int]
    waits: int
    seconds_p50: float
    seconds_p99: float


@dataclass(frozen=True, slots=True)
class LossResult:
    """A window before and one after a replica was killed: the primary's CPU share, and reads by target."""

    cpu_before: float
    cpu_after: float
    by_target_before: Mapping[str, int]
    by_target_after: Mapping[str, int]
    failed: int


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """A promotion under load; `lost` counts orders whose acknowledged write the new primary does not have."""

    synchronous: bool
    acknowledged: int
    lost: int
    unavailable_seconds: float


@dataclass(frozen=True, slots=True)
class ReplicaBench:
    """All results; CPU seconds a read on the primary by block, read from the primary and from replicas."""

    lags: Sequence[LagResult]
    primary_cpu: Sequence[float]
    replica_cpu: Sequence[float]
    loss: LossResult
    promotions: Sequence[PromotionResult]


@dataclass(frozen=True, slots=True)
class ReplicaBenchOptions:
    """Options of the benchmark: reads with a token at each lag, seed, and where the servers' logs go."""

    reads: int
    seed: int
    directory: Path


async def measure(options: ReplicaBenchOptions, *, say: Say) -> ReplicaBench:
    """Run all parts. Raises LocalError."""
    async with start_replica_servers(directory=options.directory, seed=options.seed) as shop:
        lags = []
        for milliseconds in LAGS_MILLISECONDS:
            lags.append(await read_at_lag(shop, milliseconds, options.reads))
            say(f"lag {milliseconds} ms: {lags[-1].stale} of {lags[-1].reads} stale; {dict(lags[-1].by_target)}")
        await delay(shop, 0)
        primary_cpu, replica_cpu = await cpu_of_reads(shop, max(100, options.reads // 10))
        say("CPU a read measured")
        loss = await lose_replica(shop)
        say("a replica was killed under load")
    promotions = []
    for synchronous in (True, False):
        async with start_replica_servers(directory=options.directory, seed=options.seed) as shop:
            promotions.append(await promote_under_load(shop, synchronous=synchronous))
        say(f"promotion ({'synchronous' if synchronous else 'asynchronous'}): {promotions[-1].lost} lost")
    return ReplicaBench(lags, primary_cpu, replica_cpu, loss, promotions)


async def read_at_lag(shop: ReplicaServers, milliseconds: int, reads: int) -> LagResult:
    """Read while orders change, with tokens and without, from replicas that replay this much later."""
    await delay(shop, milliseconds)
    stale, untokened, untokened_stale, durations = 0, 0, 0, list[float]()
    before, waits = shop.targets(), shop.waits()
    left = iter(range(reads))

    async def read_all() -> None:
        nonlocal stale, untokened, untokened_stale
        for number in left:
            index = shop.pick()
            known, began = shop.versions[index], time.perf_counter()
            version = await read(shop, index, known)
            durations.append(time.perf_counter() - began)
            stale += version is not None and version < known
            if number % round(1 / UNTOKENED_SHARE) == 0:
                known = shop.versions[index]
                version = await read(shop, index, 0)
                untokened += version is not None
                untokened_stale += version is not None and version < known

    async with paced(shop.write, WRITES_PER_SECOND):
        await asyncio.gather(*(read_all() for _ in range(READERS)))
    durations.sort()
    return LagResult(
        lag_milliseconds=milliseconds,
        reads=len(durations),
        stale=stale,
        untokened_reads=untokened,
        untokened_stale=untokened_stale,
        by_target={target: count - before[target] for target, count in shop.targets().items()},
        waits=shop.waits() - waits,
        seconds_p50=durations[len(durations) // 2],
        seconds_p99=durations[int(len(durations) * 0.99)],
    )


async def read(shop: ReplicaServers, index: int, version: int) -> int | None:
    """Return the version that a read gets; None when it is rejected."""
    order_id, customer_id = shop.ids[index]
    try:
        with deadline.within(2):
            return (await shop.reader.read(order_id, customer_id, version=version)).version
    except ReadModelBehind:
        return None


async def cpu_of_reads(
    shop: ReplicaServers, reads: int, *, blocks: int = CPU_BLOCKS
) -> tuple[list[float], list[float]]:
    """Return the primary's CPU seconds a read, block by block: read from the primary, and from replicas."""
    spent: dict[str, list[float]] = {"primary": [], "replica": []}
    for _ in range(blocks):
        for target in shop.chance.sample(sorted(spent), 2):
            before = shop.primary_cpu_seconds()
            for _ in range(reads):
                order_id, customer_id = shop.ids[shop.chance.randrange(len(shop.ids))]
                await (shop.orders if target == "primary" else shop.reader).read(order_id, customer_id, version=1)
            spent[target].append((shop.primary_cpu_seconds() - before) / reads)
    return spent["primary"], spent["replica"]


async def lose_replica(shop: ReplicaServers) -> LossResult:
    """Kill one of two replicas while orders are read and written at a fixed rate."""
    failed = 0

    async def read_one() -> None:
        nonlocal failed
        index = shop.pick()
        failed += await read(shop, index, shop.versions[index]) is None

    async def window() -> tuple[float, dict[str, int]]:
        cpu, targets = shop.primary_cpu_seconds(), shop.targets()
        await asyncio.sleep(WINDOW_SECONDS)
        counts = {target: count - targets[target] for target, count in shop.targets().items()}
        return (shop.primary_cpu_seconds() - cpu) / WINDOW_SECONDS, counts

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(paced(shop.write, WRITES_PER_SECOND))
        for _ in range(READERS):
            await stack.enter_async_context(paced(read_one, READS_PER_SECOND / READERS))
        before, by_target_before = await window()
        await shop.standbys[0].process.end_by(signal.SIGQUIT, limit_seconds=RUN_SECONDS)
        after, by_target_after = await window()
    return LossResult(before, after, by_target_before, by_target_after, failed)


async def promote_under_load(shop: ReplicaServers, *, synchronous: bool) -> PromotionResult:
    """Kill the primary while orders are written, promote a replica, and look for each acknowledged write."""
    heir = shop.standbys[0]
    if synchronous:
        await administer(shop.primary, "ALTER SYSTEM SET synchronous_standby_names = '\"postgres-replica-1\"'")
    killed = asyncio.Event()

    async def write_on() -> None:
        """Write until an acknowledgement after the kill; a failed write may or may not have taken effect."""
        while True:
            was_killed = killed.is_set()
            try:
                await shop.write()
            except ServiceError:
                await asyncio.sleep(0.02)
            else:
                if was_killed:
                    return

    writers = [asyncio.create_task(write_on()) for _ in range(WRITERS)]
    await asyncio.sleep(1)
    await shop.primary.process.end_by(signal.SIGQUIT, limit_seconds=RUN_SECONDS)
    killed.set()
    ended, expected, written = time.monotonic(), list(shop.versions), shop.writes
    await promote(heir)
    await administer(heir, "ALTER SYSTEM RESET synchronous_standby_names")
    async with asyncio.timeout(RUN_SECONDS):
        await asyncio.wait(writers, return_when=asyncio.FIRST_COMPLETED)
        unavailable_seconds = time.monotonic() - ended
        await asyncio.gather(*writers)
    rows = await shop.database.fetch("SELECT orders", "SELECT order_id, version FROM orders")
    kept = {row["order_id"]: row["version"] for row in rows}
    lost = sum(kept[ids[0]] < version for ids, version in zip(shop.ids, expected, strict=True))
    return PromotionResult(synchronous, written, lost, unavailable_seconds)


@asynccontextmanager
async def paced(step: Callable[[], Awaitable[None]], per_second: float) -> AsyncIterator[None]:
    """Repeat a step at a rate during a with block; a failed step fails the block at its end."""
    stop = asyncio.Event()

    async def repeat() -> None:
        due = time.monotonic()
        while not stop.is_set():
            await step()
            due = max(due + 1 / per_second, time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        stop.set()
        await task
