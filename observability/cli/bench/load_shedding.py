"""`plumb bench load-shedding`: the CPU time of rejecting a request, layer by layer."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.bench.load_shedding import Cost, measure
from observability.bench.telemetry_overhead import BenchOptions
from observability.cli.bench.results import run_measurement


def bench_load_shedding(
    *,
    requests: Annotated[int, typer.Option(min=500, help="Requests to each layer.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Seed of the shop's stock.")] = 1,
) -> None:
    """Measure what rejecting a request costs in each layer, beside serving it.

    The figures are CPU time of the process that rejects. Takes about a minute.

    Exit codes: 0 measured, 1 the measurement failed, 2 bad options, 130 interrupted.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="plumb-bench-") as folder:
        options = BenchOptions(rounds=1, requests=requests, seed=seed, directory=Path(folder))
        costs = run_measurement(lambda: measure(options, say=console.print), console)
    show(console, costs)


def show(console: Console, costs: Sequence[Cost]) -> None:
    """Print a row for each layer."""
    table = Table("layer", "µs CPU per request", "requests", "answers")
    for cost in costs:
        answers = ", ".join(f"{name} {count:,}" for name, count in cost.answers.most_common())
        table.add_row(cost.layer, f"{cost.cpu_seconds * 1e6:,.1f}", f"{cost.count:,}", answers)
    console.print(table)
