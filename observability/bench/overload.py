"""Benchmark of overload: goodput far above capacity, with overload protection and without.

Each block is an open loop on fresh processes: a third at half of the peak, a third at a multiple of it, and a third at
half again, which shows the recovery. Goodput is the orders a second that were sold within the edge's deadline, of those
that became due in the middle third. The peak is the highest goodput of any rate with protection.
"""

import asyncio
import random
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from observability.analysis.quantiles import quantile
from observability.experiments.experiment import Demand, Variant
from observability.experiments.runner.block import Schedule, load
from observability.experiments.runner.testbed import Testbed
from observability.experiments.runner.trial import silent
from observability.load.goodput import answer_of, is_good
from observability.load.recorder import RequestRecord
from observability.load.validity_checks import generator_failures
from observability.network.proxy import Delay
from observability.testbed.overload_protection import PROTECTED, UNPROTECTED

THIRD_SECONDS = 10.0
BASE_SHARE = 0.5
FIRST_RATE_PER_SECOND = 5.0
# A rate whose goodput is below this share of it is beyond the peak.
FULL_SHARE = 0.8
AROUND_THE_PEAK = (0.9, 1.1)
PROBE_SECONDS = 12.0
PROBE_WARM_UP_SECONDS = 2.0
MEMORY_PERIOD_SECONDS = 0.25
# A second has recovered if this share of its orders took at most this multiple of the slow ones' latency before.
AS_BEFORE_SHARE = 0.9
AS_BEFORE_FACTOR = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A kind of work.

    words: its name for the output.
    lines: fewest and most lines of an order.
    environment: settings by process.
    network: delays by network path.
    """

    words: str
    lines: tuple[int, int]
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    network: Mapping[str, Delay] = field(default_factory=dict)

    def variant(self, *, protected: bool) -> Variant:
        """Return the platform of this work, with or without overload protection."""
        environment = {**self.environment, "*": PROTECTED if protected else UNPROTECTED}
        return Variant(environment=environment, network=self.network)


WORKS = {
    "plain": Work(words="orders of 1 to 12 lines", lines=(1, 12)),
    "baskets": Work(words="orders of 100 lines, which keep the processor busy", lines=(100, 100)),
    "pool": Work(
        words="orders of 1 to 3 lines with 4 connections to a database 4 ms away",
        lines=(1, 3),
        environment={"order": {"ORDER_DATABASE_POOL_SIZE": "4"}},
        network={"order-database": Delay(latency_seconds=0.004)},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadRun:
    """One block. Rates and goodput are a second, latencies of sold orders in seconds, memory in bytes.

    `recovered_seconds` is from the end of the overload until all is as before, None where that never came.
    """

    factor: float
    protected: bool
    offered_per_second: float
    goodput_per_second: float
    answers: Mapping[str, int]
    p50_seconds: float
    p99_seconds: float
    recovered_seconds: float | None
    memory_before_bytes: int
    memory_peak_bytes: int
    cpu_seconds: Mapping[str, float]
    invalid_because: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """All blocks on one kind of work, and the peak that their rates are multiples of."""

    work: str
    peak_per_second: float
    probes: Mapping[float, float]
    blocks: Sequence[OverloadRun]


async def measure(work: str, factors: Sequence[float], *, seed: int, folder: Path, say: Say) -> Overload:
    """Find the peak, then run the blocks in an order drawn from the seed. Raises TrialError, LocalError, LoadError."""
    doing = WORKS[work]
    async with Testbed.open(folder / "testbed") as testbed:
        say(f"finding the peak of {doing.words}")
        probes = await find_peak(testbed, doing, seed=seed, folder=folder, say=say)
        peak = max(probes.values())
        say(f"the peak is {peak:.1f} orders a second")
        plan = [(factor, protected) for factor in factors for protected in (True, False)]
        random.Random(seed).shuffle(plan)
        blocks = []
        for factor, protected in plan:
            blocks.append(await overload(testbed, doing, factor, peak, protected=protected, seed=seed, folder=folder))
            say(sentence(blocks[-1], peak))
    return Overload(work=work, peak_per_second=peak, probes=probes, blocks=sorted(blocks, key=by_factor))


def by_factor(block: OverloadRun) -> tuple[float, bool]:
    """Return the blocks by rate, those with protection first."""
    return block.factor, not block.protected


def sentence(block: OverloadRun, peak_per_second: float) -> str:
    """Return a line with a block's result."""
    protection = "with protection" if block.protected else "without protection"
    share = block.goodput_per_second / peak_per_second
    return f"{block.factor:g} x, {protection}: {block.goodput_per_second:.1f} a second, {share:.0%} of the peak"


async def find_peak(testbed: Testbed, work: Work, *, seed: int, folder: Path, say: Say) -> dict[float, float]:
    """Return the goodput by rate: double the rate until goodput no longer follows, then probe around that rate."""
    probes: dict[float, float] = {}
    rate = FIRST_RATE_PER_SECOND
    while not probes or probes[rate / 2] >= FULL_SHARE * rate / 2:
        probes[rate] = await probe(testbed, work, rate, seed=seed, folder=folder)
        say(f"{rate:.1f} orders a second: {probes[rate]:.1f} in time")
        rate *= 2
    full = max(probes.values())
    for share in AROUND_THE_PEAK:
        rate = share * full
        probes[rate] = await probe(testbed, work, rate, seed=seed, folder=folder)
        say(f"{rate:.1f} orders a second: {probes[rate]:.1f} in time")
    return probes


async def probe(testbed: Testbed, work: Work, rate_per_second: float, *, seed: int, folder: Path) -> float:
    """Return the goodput at a steady rate."""
    schedule = Schedule(
        rate_per_second=rate_per_second,
        warm_up_seconds=PROBE_WARM_UP_SECONDS,
        duration_seconds=PROBE_SECONDS - PROBE_WARM_UP_SECONDS,
        seed=seed,
        demand=Demand(utilisation=1.0, lines=work.lines),
    )
    async with testbed.serving(work.variant(protected=True)) as serving:
        run, _ = await load(serving, schedule, scratch=folder, on_progress=silent)
    good = [each for each in run.requests if each.intended_seconds >= PROBE_WARM_UP_SECONDS and is_good(each)]
    return len(good) / schedule.duration_seconds


async def overload(
    testbed: Testbed, work: Work, factor: float, peak_per_second: float, *, protected: bool, seed: int, folder: Path
) -> OverloadRun:
    """Run one block."""
    schedule = Schedule(
        rate_per_second=BASE_SHARE * peak_per_second,
        warm_up_seconds=0.0,
        duration_seconds=3 * THIRD_SECONDS,
        seed=seed,
        demand=Demand(utilisation=1.0, surge=factor / BASE_SHARE, lines=work.lines),
    )
    async with testbed.serving(work.variant(protected=protected)) as serving:
        services = [pid for name, pid in serving.pids.items() if name in {"order", "inventory"}]
        async with watching_memory(services) as memory:
            run, cpu_seconds = await load(serving, schedule, scratch=folder, on_progress=silent)
    before, during, after = thirds(run.requests)
    good = sorted(each.latency_seconds for each in during if is_good(each))
    return OverloadRun(
        factor=factor,
        protected=protected,
        offered_per_second=len(during) / THIRD_SECONDS,
        goodput_per_second=len(good) / THIRD_SECONDS,
        # dataclasses.asdict does not rebuild a Counter correctly.
        answers=dict(Counter(map(answer_of, during))),
        p50_seconds=quantile(good, 0.50) if good else 0.0,
        p99_seconds=quantile(good, 0.99) if good else 0.0,
        recovered_seconds=recovered_seconds(before, after),
        memory_before_bytes=memory[0],
        memory_peak_bytes=max(memory),
        cpu_seconds=cpu_seconds,
        invalid_because=generator_failures(run.gates),
    )


def thirds(requests: Sequence[RequestRecord]) -> tuple[list[RequestRecord], list[RequestRecord], list[RequestRecord]]:
    """Return the orders that became due before, during and after the overload."""
    parts: tuple[list[RequestRecord], ...] = ([], [], [])
    for each in requests:
        parts[min(2, int(each.intended_seconds / THIRD_SECONDS))].append(each)
    before, during, after = parts
    return before, during, after


def recovered_seconds(before: Sequence[RequestRecord], after: Sequence[RequestRecord]) -> float | None:
    """Return the seconds from the end of the overload until all further seconds have recovered."""
    limit = AS_BEFORE_FACTOR * quantile(sorted(each.latency_seconds for each in before), 0.95)
    seconds: dict[int, list[bool]] = {number: [] for number in range(round(THIRD_SECONDS))}
    for each in after:
        number = int(each.intended_seconds - 2 * THIRD_SECONDS)
        seconds[number].append(is_good(each) and each.latency_seconds <= limit)
    bad = [number for number, all_of in seconds.items() if all_of and statistics.fmean(all_of) < AS_BEFORE_SHARE]
    last_bad = max(bad, default=-1)
    return None if last_bad == max(seconds) else float(last_bad + 1)


@asynccontextmanager
async def watching_memory(pids: Sequence[int]) -> AsyncIterator[list[int]]:
    """Sample the total memory of these processes, in bytes, during a with block."""
    processes = [psutil.Process(pid) for pid in pids]

    def resident() -> int:
        return sum(process.memory_info().rss for process in processes)

    samples = [resident()]

    async def sample() -> None:
        while True:
            await asyncio.sleep(MEMORY_PERIOD_SECONDS)
            samples.append(resident())

    task = asyncio.create_task(sample())
    try:
        yield samples
    finally:
        task.cancel()
