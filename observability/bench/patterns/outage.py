"""Benchmark of the patterns circuit breaker and design for failure: orders while the inventory service hangs.

Three forms are compared: without a circuit breaker, with one, and orders that are accepted and settled later.
Inventory's process is stopped by a signal and continued later, so that its calls are neither answered nor rejected.
"""

import asyncio
import os
import signal
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from observability.bench.patterns.blocks import PatternBench, shuffled
from observability.bench.patterns.effect import PatternEffect, ratio_effect, share_effect
from observability.bench.patterns.variants import orders
from observability.bench.read_model import session
from observability.experiments.experiment import Variant
from observability.experiments.runner.block import Schedule, load, of_the_generator
from observability.experiments.runner.testbed import Serving, Testbed
from observability.load.goodput import is_good
from observability.load.options import Progress
from observability.load.recorder import RequestRecord
from observability.testbed.side_effects import wait_for_effects

# A breaker opens only after some failed calls; this rate is high enough to make them before the counted part.
RATE_PER_SECOND = 20.0
GUARD = "ORDER_INVENTORY_GUARDED"
# From the start of the load. The breaker opens less than two seconds after the start of the outage.
STOP_SECONDS, COUNTED_SECONDS, RESUME_SECONDS, END_SECONDS = 1.0, 3.5, 6.0, 7.0
SIDES = {"breaker": ("true", False), "no breaker": ("false", False), "kept for later": ("true", True)}


@dataclass(frozen=True, slots=True)
class Outage:
    """One block.

    requests: the orders that were due while inventory hung.
    accepted: number of them that were accepted in time.
    sold: number of the accepted ones that were sold in the end.
    invalid_because: reasons why the load generator's times are not right, else empty.
    """

    requests: Sequence[RequestRecord]
    accepted: int
    sold: int
    invalid_because: tuple[str, ...]


async def outage(bench: PatternBench, testbed: Testbed) -> dict[str, list[PatternEffect]]:
    """Measure the answers during the outage, and the end of the orders that were accepted in it, by pattern."""
    blocks: dict[str, list[Outage]] = {side: [] for side in SIDES}
    for turn, sides in enumerate(shuffled(bench, list(SIDES), name="outage"), start=1):
        bench.say(f"outage: turn {turn} of {bench.sizes.pairs}: {', '.join(sides)}")
        for side in sides:
            blocks[side].append(await valid_outage(bench, testbed, side, seed=1_000 * bench.seed + turn))
    waited = {side: [latency_p50(each) for each in blocks[side]] for side in ("breaker", "no breaker")}
    invalid = {side: sum(bool(each.invalid_because) for each in found) for side, found in blocks.items()}
    kept, rejecting = totals(blocks["kept for later"]), totals(blocks["breaker"])
    return {
        "circuit_breaker": [
            ratio_effect(
                "median time to an answer while inventory hangs, with the breaker / without",
                waited,
                invalid=invalid["breaker"] + invalid["no breaker"],
            )
        ],
        "design_for_failure": [
            share_effect(
                "orders accepted while inventory hangs, from customers who wait for the sale",
                *rejecting[:2],
                invalid=invalid["breaker"],
            ),
            share_effect(
                "the same, from customers who accept a later answer", *kept[:2], invalid=invalid["kept for later"]
            ),
            share_effect("of these accepted orders, sold once inventory answered again", kept[2], kept[0]),
        ],
    }


async def valid_outage(bench: PatternBench, testbed: Testbed, side: str, *, seed: int) -> Outage:
    """Run a block, again while it is invalid, and return the last one."""
    block = await one_outage(bench, testbed, side, seed=seed)
    for _ in range(bench.sizes.repeats):
        if not block.invalid_because:
            break
        bench.say(f"invalid: {'; '.join(block.invalid_because)}; once more")
        block = await one_outage(bench, testbed, side, seed=seed)
    return block


async def one_outage(bench: PatternBench, testbed: Testbed, side: str, *, seed: int) -> Outage:
    """Run one block, and wait until its orders are at rest."""
    guarded, respond_async = SIDES[side]
    schedule = Schedule(
        rate_per_second=RATE_PER_SECOND,
        warm_up_seconds=0.0,
        duration_seconds=END_SECONDS,
        seed=seed,
        demand=replace(orders((1, 3)), respond_async=respond_async),
    )
    async with testbed.serving(Variant(environment={"order": {GUARD: guarded}})) as serving:
        hanging = Hanging(serving.pids["inventory"])
        with tempfile.TemporaryDirectory(dir=bench.folder) as scratch:
            try:
                run, _ = await load(serving, schedule, scratch=Path(scratch), on_progress=hanging.on_progress)
            finally:
                hanging.resume()
        await wait_for_effects(serving.databases)
        counted = [each for each in run.requests if COUNTED_SECONDS <= each.intended_seconds < RESUME_SECONDS]
        return await result_of(serving, counted, of_the_generator(run), respond_async=respond_async)


class Hanging:
    """A process that hangs for a part of the load."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._timers: list[asyncio.TimerHandle] = []

    def on_progress(self, progress: Progress) -> None:
        """Plan the outage at the first sign of the load, whose clock started at most a moment before."""
        if not self._timers:
            loop = asyncio.get_running_loop()
            began = loop.time() - progress.elapsed_seconds
            self._timers = [
                loop.call_at(began + STOP_SECONDS, self._send, signal.SIGSTOP),
                loop.call_at(began + RESUME_SECONDS, self._send, signal.SIGCONT),
            ]

    def resume(self) -> None:
        """Let the process go on, whatever happened."""
        for timer in self._timers:
            timer.cancel()
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended, which the load reports
            os.kill(self._pid, number)


async def result_of(
    serving: Serving, counted: Sequence[RequestRecord], invalid_because: tuple[str, ...], *, respond_async: bool
) -> Outage:
    """Count the orders that were accepted in time, and those of them that are sold now."""
    accepted = [each.order_id for each in counted if is_good(each, respond_async=respond_async)]
    async with session(serving.databases["order"]) as connection:
        # Purpose: which of the accepted orders ended in a sale.
        sold: int = await connection.fetchval(
            "SELECT count(*) FROM orders WHERE order_id = ANY($1::uuid[]) AND state = 'CONFIRMED'", accepted
        )
    return Outage(counted, len(accepted), sold, invalid_because)


def latency_p50(block: Outage) -> float:
    """Return the median latency of the orders, answered with success or not."""
    return statistics.median(each.latency_seconds for each in block.requests)


def totals(blocks: Sequence[Outage]) -> tuple[int, int, int]:
    """Return the orders that were accepted, all of them, and those that were sold."""
    return (
        sum(each.accepted for each in blocks),
        sum(len(each.requests) for each in blocks),
        sum(each.sold for each in blocks),
    )
