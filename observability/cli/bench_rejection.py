"""`plumb bench-rejection`: what does it cost to say no?"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.bench.load_shedding import Cost, measure
from observability.bench.telemetry_overhead import BenchOptions
from observability.load.errors import LoadError
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible


def bench_rejection(
    *,
    requests: Annotated[int, typer.Option(min=500, help="Requests to each layer.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Fixes what the shop is stocked with.")] = 1,
) -> None:
    """Measure what one refusal costs in each layer, beside the same request where it is answered.

    Figures are CPU time of the process that refuses. Takes about a minute.
    """
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="plumb-bench-") as folder:
            options = BenchOptions(rounds=1, requests=requests, seed=seed, directory=Path(folder))
            say = console.print
            costs = run_interruptible(lambda: measure(options, say=say), again=lambda: say("already stopping"))
    except (LocalError, LoadError) as error:
        typer.echo(f"plumb bench-rejection: {error}", err=True)
        raise typer.Exit(1) from error
    except Interrupted as interruption:
        typer.echo("plumb bench-rejection: interrupted; everything is stopped", err=True)
        raise typer.Exit(128 + interruption.number) from interruption
    show(console, costs)


def show(console: Console, costs: Sequence[Cost]) -> None:
    """Print a row a layer."""
    table = Table("layer", "µs CPU each", "of", "answers")
    for cost in costs:
        answers = ", ".join(f"{name} {count:,}" for name, count in cost.answers.most_common())
        table.add_row(cost.layer, f"{cost.cpu_seconds * 1e6:,.1f}", f"{cost.count:,}", answers)
    console.print(table)
