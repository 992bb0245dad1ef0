"""`plumb bench-telemetry`: what does telemetry cost a request, part by part?"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.bench.telemetry_overhead import (
    VARIANTS,
    BenchOptions,
    OverheadBlock,
    OverheadEstimate,
    estimate,
    measure,
    paired,
)
from observability.bench.telemetry_overhead import ratio as ratio_of
from observability.bench.telemetry_overhead import share as share_of
from observability.load.errors import LoadError
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible


def bench_telemetry(
    *,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds after the warm-up; each runs every variant once.")] = 8,
    requests: Annotated[int, typer.Option(min=10, help="Orders a block.")] = 200,
    seed: Annotated[int, typer.Option(help="Fixes the orders and the order of the blocks.")] = 1,
) -> None:
    """Measure CPU a request of the order and inventory processes with telemetry on, off, and without each part.

    Five platforms stand side by side and take turns in random order. Takes about five minutes; the figures are ratios
    and differences within this run, with 95 % intervals over its rounds.
    """
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="plumb-bench-") as folder:
            options = BenchOptions(rounds, requests, seed, Path(folder))
            say = console.print
            blocks = run_interruptible(lambda: measure(options, say=say), again=lambda: say("already stopping"))
    except (LocalError, LoadError) as error:
        typer.echo(f"plumb bench-telemetry: {error}", err=True)
        raise typer.Exit(1) from error
    except Interrupted as interruption:
        typer.echo("plumb bench-telemetry: interrupted; everything is stopped", err=True)
        raise typer.Exit(128 + interruption.number) from interruption
    show(console, blocks)


def show(console: Console, blocks: Sequence[OverheadBlock]) -> None:
    """Print the variants, the ratio and each part's share."""
    table = Table("variant", "CPU ms a request", "95 % interval", "spans a request")
    for variant in VARIANTS:
        cpu = in_milliseconds(estimate(paired(blocks, variant)))
        spans = [block.spans for block in blocks if block.variant == variant]
        table.add_row(variant, f"{cpu.mean:.2f}", f"{cpu.low:.2f} to {cpu.high:.2f}", f"{sum(spans) / len(spans):.1f}")
    console.print(table)
    whole = ratio_of(blocks, "all on", "all off")
    console.print(f"all on / all off: {whole.mean:.2f} (95 % interval {whole.low:.2f} to {whole.high:.2f})")
    for part in ("traces", "metrics", "logs"):
        cost = in_milliseconds(share_of(blocks, f"{part} off"))
        console.print(f"{part:8} {cost.mean:+.2f} ms a request (95 % interval {cost.low:+.2f} to {cost.high:+.2f})")


def in_milliseconds(seconds: OverheadEstimate) -> OverheadEstimate:
    """Return an estimate in milliseconds."""
    return OverheadEstimate(seconds.mean * 1e3, seconds.low * 1e3, seconds.high * 1e3)
