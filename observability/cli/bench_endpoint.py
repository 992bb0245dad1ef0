"""`plumb bench-endpoint`: what do customers notice of traces that have nowhere to go?"""

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
from observability.load.errors import LoadError
from observability.testbed.errors import TestbedError
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible


def bench_endpoint(
    *,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds after the warm-up; each asks every platform once.")] = 8,
    requests: Annotated[int, typer.Option(min=10, help="Orders a block.")] = 300,
    seed: Annotated[int, typer.Option(help="Fixes the orders and the order of the blocks.")] = 1,
) -> None:
    """Measure goodput with an OTLP endpoint that is down, slow or swallows everything, beside one that collects.

    Four platforms stand side by side and take turns in random order. Takes about six minutes; the figures are ratios
    within this run, with 95 % intervals over its rounds.
    """
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="plumb-bench-") as folder:
            options = BenchOptions(rounds, requests, seed, Path(folder))
            say = console.print
            blocks = run_interruptible(lambda: measure(options, say=say), again=lambda: say("already stopping"))
    except (LocalError, LoadError, TestbedError) as error:
        typer.echo(f"plumb bench-endpoint: {error}", err=True)
        raise typer.Exit(1) from error
    except Interrupted as interruption:
        typer.echo("plumb bench-endpoint: interrupted; everything is stopped", err=True)
        raise typer.Exit(128 + interruption.number) from interruption
    show(console, blocks)


def show(console: Console, blocks: Sequence[OutageBlock]) -> None:
    """Print a row an endpoint."""
    table = Table("endpoint", "orders a second", f"of {COLLECTING}", "95 % interval", "p99 ms", "spans lost a block")
    for endpoint in dict.fromkeys(block.endpoint for block in blocks):
        own = of(blocks, endpoint)
        share = ratio(blocks, endpoint)
        table.add_row(
            endpoint,
            f"{statistics.fmean(block.goodput_per_second for block in own):.1f}",
            f"{share.mean:.3f}",
            f"{share.low:.3f} to {share.high:.3f}",
            f"{statistics.median(block.p99_seconds for block in own) * 1e3:.0f}",
            f"{statistics.fmean(block.lost_spans for block in own):.0f}",
        )
    console.print(table)
