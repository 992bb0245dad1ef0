"""Sizes of the pattern benchmarks, and alternating blocks of open-loop load on one testbed."""

import random
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from observability.bench.patterns.effect import PatternEffect, ratio_effect
from observability.experiments.experiment import Demand, Variant
from observability.experiments.runner.block import Block, Schedule, block_of, load
from observability.experiments.runner.testbed import Testbed
from observability.experiments.runner.trial import silent

# A third of the one core that the platform has, so that latency is mostly service time and hardly queueing.
RATE_PER_SECOND = 8.0
# The processes of a block are new: their first orders load code and open connections, and the next ones queue behind.
WARM_UP_SECONDS = 3.0

Say = Callable[[str], None]
Blocks = Mapping[str, Sequence[Block]]


@dataclass(frozen=True, slots=True)
class BenchSizes:
    """Size of a measurement.

    pairs: pairs of blocks of a running platform.
    rounds: pairs of blocks of a database alone, which take a second or two.
    block_seconds: duration of a block after its warm-up.
    requests: requests of a block that has no duration.
    repeats: how often an invalid block is repeated.
    """

    pairs: int
    rounds: int
    block_seconds: float
    requests: int
    repeats: int


SHORT = BenchSizes(pairs=5, rounds=8, block_seconds=8.0, requests=200, repeats=2)
# For tests, beside other work: shows that each measurement runs.
TINY = BenchSizes(pairs=2, rounds=2, block_seconds=2.0, requests=20, repeats=0)


@dataclass(frozen=True, slots=True)
class PatternBench:
    """The size and the seed of the measurements, where servers write their logs, and where progress is said."""

    sizes: BenchSizes
    seed: int
    folder: Path
    say: Say


def shuffled(bench: PatternBench, sides: Sequence[str], *, name: str, turns: int | None = None) -> list[list[str]]:
    """Return the sequence of the sides for each turn (None: for each pair), drawn from the seed."""
    chance = random.Random(f"{bench.seed}:{name}")
    return [chance.sample(sides, len(sides)) for _ in range(turns or bench.sizes.pairs)]


async def variant_blocks(
    bench: PatternBench, testbed: Testbed, variants: Mapping[str, Variant], demand: Demand, *, name: str
) -> Blocks:
    """Run blocks of all variants alternately, each round with the same orders; an invalid block is repeated."""
    blocks: dict[str, list[Block]] = {side: [] for side in variants}
    for pair, sides in enumerate(shuffled(bench, list(variants), name=name), start=1):
        bench.say(f"{name}: turn {pair} of {bench.sizes.pairs}: {', '.join(sides)}")
        schedule = Schedule(
            rate_per_second=RATE_PER_SECOND,
            warm_up_seconds=WARM_UP_SECONDS,
            duration_seconds=bench.sizes.block_seconds,
            seed=1_000 * bench.seed + pair,
            demand=demand,
        )
        for side in sides:
            blocks[side].append(await valid_block(bench, testbed, variants[side], schedule))
    return blocks


async def valid_block(bench: PatternBench, testbed: Testbed, variant: Variant, schedule: Schedule) -> Block:
    """Run a block, again while it is invalid, and return the last one."""
    block = await one_block(testbed, variant, schedule)
    for _ in range(bench.sizes.repeats):
        if not block.invalid_because:
            break
        bench.say(f"invalid: {'; '.join(block.invalid_because)}; once more")
        block = await one_block(testbed, variant, schedule)
    return block


async def one_block(testbed: Testbed, variant: Variant, schedule: Schedule) -> Block:
    """Send the schedule to fresh processes of a variant."""
    async with testbed.serving(variant) as serving:
        with tempfile.TemporaryDirectory(dir=testbed.folder) as scratch:
            run, cpu_seconds = await load(serving, schedule, scratch=Path(scratch), on_progress=silent)
    return block_of(run, schedule, cpu_seconds)


def latency_ratio(what: str, blocks: Blocks, over: str, under: str) -> PatternEffect:
    """Return the ratio of two sides' median latencies."""
    medians = {side: [statistics.median(each.latencies_seconds) for each in blocks[side]] for side in (over, under)}
    return ratio_effect(what, medians, invalid=invalid_blocks(blocks, over, under))


def cpu_ratio(what: str, blocks: Blocks, over: str, under: str) -> PatternEffect:
    """Return the ratio of two sides' processor time for an order, over all processes of the platform."""
    spent = {side: [each.cpu_seconds_an_order for each in blocks[side]] for side in (over, under)}
    return ratio_effect(what, spent, invalid=invalid_blocks(blocks, over, under))


def invalid_blocks(blocks: Blocks, *sides: str) -> int:
    """Return how many blocks of these sides stayed invalid."""
    return sum(bool(each.invalid_because) for side in sides for each in blocks[side])
