"""Benchmark of the pattern observability: CPU time of all telemetry, a short form of `plumb bench telemetry`."""

from observability.bench import telemetry_overhead
from observability.bench.patterns.blocks import PatternBench
from observability.bench.patterns.effect import PatternEffect, ratio_effect
from observability.bench.telemetry_overhead import BenchOptions, paired

SIDES = ("all on", "all off")


async def telemetry(bench: PatternBench) -> list[PatternEffect]:
    """Compare the services' processor time for an order with all telemetry and with none."""
    options = BenchOptions(bench.sizes.pairs, bench.sizes.requests, bench.seed, bench.folder)
    variants = {side: telemetry_overhead.VARIANTS[side] for side in SIDES}
    blocks = await telemetry_overhead.measure(options, variants=variants, say=bench.say)
    spent = {side: paired(blocks, side) for side in SIDES}
    return [
        ratio_effect("processor time of order and inventory for an order, traces, metrics and logs on / off", spent)
    ]
