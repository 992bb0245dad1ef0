"""`plumb bench read-model`: the latency of ListOrders in a small and in a big read model."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from observability.analysis.comparison import Estimate
from observability.analysis.quantiles import quantile, quantile_interval
from observability.bench.paired import paired_ratio
from observability.bench.read_model import (
    CASES,
    SIZES,
    ReadModelBench,
    ReadModelBenchOptions,
    measure,
)
from observability.cli.bench.results import run_folder, run_measurement, write_result

FORMAT = "plumbline-bench-read-model/1"
QUANTILES = (0.50, 0.95, 0.99)
# Words in the lines of a plan that show which rows are read, and how many of them are discarded.
_PLAN_WORDS = ("Scan", "Sort", "Index Cond", "Filter", "Rows Removed", "Execution Time")


def bench_read_model(
    *,
    small: Annotated[int, typer.Option(min=1_000, help="Orders in the small read model.")] = 10_000,
    big: Annotated[int, typer.Option(min=1_000, help="Orders in the big read model.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds after the warm-up.")] = 20,
    queries: Annotated[int, typer.Option(min=10, help="Queries of each kind per round.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the orders, the queries and their sequence.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-read-model"),
) -> None:
    """Measure the latency of a page of ListOrders in a small and in a big read model.

    The first page of a customer's orders and a deep one are measured, in both read models in turn. Customers have ten
    orders on average, and the r-th of them a share that falls with r^(-2/3): most have a few, some thousands. Takes
    about two minutes. Quantiles have 95 % intervals over the queries, ratios over the rounds.

    Exit codes: 0 measured, 1 the measurement failed, 2 bad options, 130 interrupted.
    """
    console = Console(highlight=False)
    with run_folder(output) as folder:
        options = ReadModelBenchOptions(small, big, rounds, queries, seed, folder)
        bench = run_measurement(lambda: measure(options, say=console.print), console)
        figures = {f"{case}, {size}": figures_of(bench, case, size) for case in CASES for size in SIZES}
        write_result(folder, document(options, bench, figures), console)
    show(console, options, bench, figures)


def figures_of(bench: ReadModelBench, case: str, size: str) -> dict[str, dict[str, float | None]]:
    """Return the quantiles of all rounds together, in seconds, each with its interval; None: no bound on that side."""
    ordered = sorted(seconds for block in bench.seconds[case][size] for seconds in block)
    return {
        f"p{100 * q:.0f}": {"seconds": quantile(ordered, q), **asdict(quantile_interval(ordered, q))} for q in QUANTILES
    }


def ratio_of(bench: ReadModelBench, case: str, q: float) -> Estimate:
    """Return big over small at a quantile, round by round."""
    small, big = ([quantile(sorted(block), q) for block in bench.seconds[case][size]] for size in SIZES)
    return paired_ratio(big, small)


def document(options: ReadModelBenchOptions, bench: ReadModelBench, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the content of result.json: figures, ratios, plans, and the seconds of every query."""
    chosen = {name: value for name, value in asdict(options).items() if name != "directory"}
    ratios = {case: {f"p{100 * q:.0f}": asdict(ratio_of(bench, case, q)) for q in QUANTILES} for case in CASES}
    return {
        "format": FORMAT,
        "options": chosen,
        "figures": figures,
        "big_over_small": ratios,
        "models": bench.models,
        "seconds": bench.seconds,
    }


def show(console: Console, options: ReadModelBenchOptions, bench: ReadModelBench, figures: dict[str, Any]) -> None:
    """Print how orders are spread over customers, the latencies, the ratios, and the plans."""
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
            case, "big / small", *(f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" for ratio in ratios)
        )
    console.print(table)
    for size in SIZES:
        show_plans(console, size, bench.models[size])


def in_milliseconds(figure: dict[str, float | None]) -> str:
    """Return a quantile and its interval as text; a dash stands for a bound that needs more values."""
    value, low, high = ("-" if seconds is None else f"{seconds * 1e3:.2f}" for seconds in figure.values())
    return f"{value} ({low} to {high})"


def show_plans(console: Console, size: str, model: Mapping[str, Any]) -> None:
    """Print how many custom and generic plans the session used, and the main lines of one plan for each case."""
    chosen = model["plans_chosen"]
    console.print(
        f"{size}: {chosen['custom']:,} queries with a custom plan, {chosen['generic']:,} with the generic plan"
    )
    for case, plan in model["plans"].items():
        console.print(f"  {case}", markup=False)
        for line in plan:
            if any(word in line for word in _PLAN_WORDS):
                console.print(f"    {line.strip()}", markup=False, soft_wrap=True)
