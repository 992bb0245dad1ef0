"""`plumb bench telemetry`: the CPU time that telemetry costs each request, part by part."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.analysis.comparison import Estimate
from observability.bench.paired import estimate
from observability.bench.telemetry_overhead import (
    VARIANTS,
    BenchOptions,
    OverheadBlock,
    measure,
    paired,
)
from observability.bench.telemetry_overhead import ratio as ratio_of
from observability.bench.telemetry_overhead import share as share_of
from observability.cli.bench.results import run_measurement


def bench_telemetry(
    *,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds after the warm-up; each runs every variant once.")] = 8,
    requests: Annotated[int, typer.Option(min=10, help="Orders per block.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the orders and of the order of the blocks.")] = 1,
) -> None:
    """Measure CPU time per request with telemetry on, off, and without each of its parts.

    The CPU time is that of the order and inventory processes. Five platforms run side by side and are measured in
    turn, in random order. Takes about five minutes. The figures are ratios and differences within this run, with 95 %
    intervals over its rounds.

    Exit codes: 0 measured, 1 the measurement failed, 2 bad options, 130 interrupted.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="plumb-bench-") as folder:
        options = BenchOptions(rounds, requests, seed, Path(folder))
        blocks = run_measurement(lambda: measure(options, say=console.print), console)
    show(console, blocks)


def show(console: Console, blocks: Sequence[OverheadBlock]) -> None:
    """Print the variants, the ratio of on to off, and the cost of each part."""
    table = Table("variant", "CPU ms per request", "95 % interval", "spans per request")
    for variant in VARIANTS:
        cpu = in_milliseconds(estimate(paired(blocks, variant)))
        spans = [block.spans for block in blocks if block.variant == variant]
        table.add_row(variant, f"{cpu.value:.2f}", f"{cpu.low:.2f} to {cpu.high:.2f}", f"{sum(spans) / len(spans):.1f}")
    console.print(table)
    whole = ratio_of(blocks, "all on", "all off")
    console.print(f"all on / all off: {whole.value:.2f} (95 % interval {whole.low:.2f} to {whole.high:.2f})")
    for part in ("traces", "metrics", "logs"):
        cost = in_milliseconds(share_of(blocks, f"{part} off"))
        console.print(f"{part:8} {cost.value:+.2f} ms per request (95 % interval {cost.low:+.2f} to {cost.high:+.2f})")


def in_milliseconds(seconds: Estimate) -> Estimate:
    """Return an estimate in milliseconds."""
    return Estimate(seconds.value * 1e3, seconds.low * 1e3, seconds.high * 1e3)
