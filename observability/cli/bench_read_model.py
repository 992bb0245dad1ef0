"""`plumb bench-read-model`: does a list of orders grow slower with the shop?"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from asyncpg import PostgresError
from rich.console import Console
from rich.table import Table

from observability.analysis.quantiles import quantile, quantile_interval
from observability.bench.read_model import (
    CASES,
    SIZES,
    ReadModelBench,
    ReadModelBenchOptions,
    measure,
    paired_ratio,
)
from observability.bench.telemetry_overhead import OverheadEstimate
from observability.demo.folders import make_run_directory, remove_run_directory, write_whole
from observability.load.errors import LoadError
from observability.testbed.errors import TestbedError
from services.kernel.errors import ServiceError
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible

FORMAT = "plumbline-bench-read-model/1"
QUANTILES = (0.50, 0.95, 0.99)
_EXIT_FAILED = 1
_EXIT_SIGNAL_BASE = 128
# The lines of a plan that say what is read and how much of it is thrown away.
_TELLING = ("Scan", "Sort", "Index Cond", "Filter", "Rows Removed", "Execution Time")


def bench_read_model(
    *,
    small: Annotated[int, typer.Option(min=1_000, help="Orders in the small read model.")] = 10_000,
    big: Annotated[int, typer.Option(min=1_000, help="Orders in the big read model.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds after the warm-up.")] = 20,
    queries: Annotated[int, typer.Option(min=10, help="Queries of each kind a round.")] = 100,
    seed: Annotated[int, typer.Option(help="Fixes the orders, the queries and their turns.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-read-model"),
) -> None:
    """Measure the time of a page of ListOrders, the first and a deep one, in a small and a big read model by turns.

    Customers have ten orders in the mean, and the r-th of them a share that falls with r^(-2/3): most have a few, some
    thousands. Takes about two minutes. Quantiles have 95 % intervals over the queries, ratios over the rounds.

    Exit codes: 0 measured, 1 it could not be carried out, 2 bad options, 130 interrupted.
    """
    console = Console(highlight=False)
    options = ReadModelBenchOptions(small, big, rounds, queries, seed, _directory(output))
    try:
        bench = run_interruptible(
            lambda: measure(options, say=console.print), again=lambda: console.print("already stopping")
        )
        figures = {f"{case}, {size}": figures_of(bench, case, size) for case in CASES for size in SIZES}
        result = options.directory / "result.json"
        write_whole(result, orjson.dumps(document(options, bench, figures), option=orjson.OPT_INDENT_2))
    except (LocalError, LoadError, TestbedError, ServiceError, PostgresError) as error:
        typer.echo(f"plumb bench-read-model: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error
    except Interrupted as interruption:
        remove_run_directory(options.directory)
        typer.echo("plumb bench-read-model: interrupted; everything is stopped", err=True)
        raise typer.Exit(_EXIT_SIGNAL_BASE + interruption.number) from interruption
    show(console, options, bench, figures)
    console.print(f"written to {result}", markup=False, soft_wrap=True)


def figures_of(bench: ReadModelBench, case: str, size: str) -> dict[str, dict[str, float | None]]:
    """Return the quantiles of all rounds together, in seconds, each with its interval; None where it has no bound."""
    ordered = sorted(seconds for block in bench.seconds[case][size] for seconds in block)
    return {
        f"p{100 * q:.0f}": {"seconds": quantile(ordered, q), **asdict(quantile_interval(ordered, q))} for q in QUANTILES
    }


def ratio_of(bench: ReadModelBench, case: str, q: float) -> OverheadEstimate:
    """Return big over small at a quantile, round by round."""
    small, big = ([quantile(sorted(block), q) for block in bench.seconds[case][size]] for size in SIZES)
    return paired_ratio(big, small)


def document(options: ReadModelBenchOptions, bench: ReadModelBench, figures: dict[str, Any]) -> dict[str, Any]:
    """Return what goes to the file: figures, ratios, plans, and the seconds of every query."""
    kept = {name: value for name, value in asdict(options).items() if name != "directory"}
    ratios = {case: {f"p{100 * q:.0f}": asdict(ratio_of(bench, case, q)) for q in QUANTILES} for case in CASES}
    return {
        "format": FORMAT,
        "options": kept,
        "figures": figures,
        "big_over_small": ratios,
        "models": bench.models,
        "seconds": bench.seconds,
    }


def show(console: Console, options: ReadModelBenchOptions, bench: ReadModelBench, figures: dict[str, Any]) -> None:
    """Print who has how many orders, the times, the ratios, and the plans."""
    for size in SIZES:
        model = bench.models[size]
        spread, depth = model["spread"], model["deep_place"]
        console.print(
            f"{size}: {getattr(options, size):,} orders of {spread['customers']:,} customers, median "
            f"{spread['median']:,}, most {spread['most']:,}; deep pages begin after order {depth['median']:,.0f} of "
            f"their list in the median, {depth['most']:,} at most",
            soft_wrap=True,
        )
    table = Table("query", "read model", *(f"p{100 * q:.0f} ms (95 % interval)" for q in QUANTILES))
    for case in CASES:
        for size in SIZES:
            table.add_row(case, size, *(in_milliseconds(figure) for figure in figures[f"{case}, {size}"].values()))
        ratios = (ratio_of(bench, case, q) for q in QUANTILES)
        table.add_row(
            case, "big / small", *(f"{ratio.mean:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" for ratio in ratios)
        )
    console.print(table)
    for size in SIZES:
        show_plans(console, size, bench.models[size])


def in_milliseconds(figure: dict[str, float | None]) -> str:
    """Return a quantile and its interval as text; a dash is a bound that so few values do not give."""
    value, low, high = ("-" if seconds is None else f"{seconds * 1e3:.2f}" for seconds in figure.values())
    return f"{value} ({low} to {high})"


def show_plans(console: Console, size: str, model: Mapping[str, Any]) -> None:
    """Print which plans the measured session used, and the telling lines of one of each case."""
    chosen = model["plans_chosen"]
    console.print(
        f"{size}: {chosen['custom']:,} queries planned for their arguments, {chosen['generic']:,} by one plan for all"
    )
    for case, plan in model["plans"].items():
        console.print(f"  {case}", markup=False)
        for line in plan:
            if any(word in line for word in _TELLING):
                console.print(f"    {line.strip()}", markup=False, soft_wrap=True)


def _directory(output: Path) -> Path:
    try:
        return make_run_directory(output)
    except TestbedError as error:
        typer.echo(f"plumb bench-read-model: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error
