"""`plumb bench otlp-outage`: goodput while the OTLP endpoint of the services fails."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.bench.otlp_outage import COLLECTING, OutageBlock, measure, of, ratio
from observability.bench.telemetry_overhead import BenchOptions
from observability.cli.bench.results import run_measurement


def bench_otlp_outage(
    *,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds after the warm-up; each loads every platform once.")] = 8,
    requests: Annotated[int, typer.Option(min=10, help="Orders per block.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the orders and of the order of the blocks.")] = 1,
) -> None:
    """Measure goodput with an OTLP endpoint that is down, slow or silent, beside one that collects.

    Four platforms run side by side and are measured in turn, in random order. Takes about six minutes. The figures are
    ratios within this run, with 95 % intervals over its rounds.

    Exit codes: 0 measured, 1 the measurement failed, 2 bad options, 130 interrupted.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="plumb-bench-") as folder:
        options = BenchOptions(rounds, requests, seed, Path(folder))
        blocks = run_measurement(lambda: measure(options, say=console.print), console)
    show(console, blocks)


def show(console: Console, blocks: Sequence[OutageBlock]) -> None:
    """Print a row for each endpoint."""
    headings = ("endpoint", "orders per second", f"of {COLLECTING}", "95 % interval", "p99 ms", "spans lost per block")
    table = Table(*headings)
    for endpoint in dict.fromkeys(block.endpoint for block in blocks):
        own = of(blocks, endpoint)
        share = ratio(blocks, endpoint)
        table.add_row(
            endpoint,
            f"{statistics.fmean(block.goodput_per_second for block in own):.1f}",
            f"{share.value:.3f}",
            f"{share.low:.3f} to {share.high:.3f}",
            f"{statistics.median(block.p99_seconds for block in own) * 1e3:.0f}",
            f"{statistics.fmean(block.lost_spans for block in own):.0f}",
        )
    console.print(table)
