"""`plumb bench order-cost`: what an order costs by process, compared with the same order made of stock libraries."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.analysis.comparison import Estimate
from observability.bench.order_cost import (
    FULL,
    NO_TELEMETRY,
    PROCESSES,
    STOCK_FULL,
    STOCK_NO_TELEMETRY,
    STOCK_SDK,
    OrderCostOptions,
    OrderCosts,
    measure,
)
from observability.cli.bench.results import run_folder, run_measurement, write_result

RATIOS = {
    "full telemetry / none, order and inventory": (FULL, NO_TELEMETRY, ("order", "inventory")),
    "full telemetry, stock SDK / ours, order and inventory": (STOCK_SDK, FULL, ("order", "inventory")),
    "stock parts / ours, full telemetry, all processes": (STOCK_FULL, FULL, ()),
    "stock parts / ours, full telemetry, order and inventory": (STOCK_FULL, FULL, ("order", "inventory")),
    "stock parts / ours, no telemetry, order and inventory": (STOCK_NO_TELEMETRY, NO_TELEMETRY, ("order", "inventory")),
}


def bench_order_cost(
    *,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds after the warm-up; each runs every variant once.")] = 8,
    requests: Annotated[int, typer.Option(min=10, help="Orders per block.")] = 200,
    lines: Annotated[int, typer.Option(min=1, max=1_500, help="Lines of each order.")] = 26,
    idle: Annotated[float, typer.Option(min=1, help="Seconds of the measurement without orders.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Seed of the orders and of the order of the blocks.")] = 1,
    output: Annotated[Path, typer.Option(help="Each run writes to a folder of its own in it.")] = Path("out/bench"),
) -> None:
    """Measure what an order costs by process: processor time, round trips to PostgreSQL and spans.

    The platform and the same order made of stock parts (FastAPI, SQLAlchemy, stock instrumentation) run side by side,
    with full telemetry and with none, and are measured in turn, in random order. Takes about six minutes. Stock parts
    promise less: they have no events, no mail, no read model and no repair. Figures have 95 % intervals over the
    rounds.

    Exit codes: 0 measured, 1 the measurement failed, 2 bad options, 130 interrupted.
    """
    console = Console()
    with run_folder(output) as folder:
        options = OrderCostOptions(rounds, requests, (lines, lines), idle, seed, folder)
        costs = run_measurement(lambda: measure(options, say=console.print), console)
        show(console, costs)
        write_result(folder, result(options, costs), console)


def show(console: Console, costs: OrderCosts) -> None:
    """Print the costs of an order by variant, and the ratios of variants."""
    table = Table("an order", *costs.blocks, title="CPU ms of an order, with 95 % intervals")
    for name in PROCESSES:
        table.add_row(name, *(milliseconds(costs, variant, name) for variant in costs.blocks))
    table.add_row("all processes", *(milliseconds(costs, variant) for variant in costs.blocks))
    table.add_row("round trips to PostgreSQL", *(f"{round_trips(costs, variant):.1f}" for variant in costs.blocks))
    table.add_row("spans", *(f"{spans(costs, variant):.1f}" for variant in costs.blocks))
    table.add_row("idle, % of a core", *(f"{100 * idle_cores(costs, variant):.1f}" for variant in costs.blocks))
    console.print(table)
    for what, (over, under, processes) in RATIOS.items():
        if not {over, under} <= set(costs.blocks):
            continue
        found = costs.ratio(over, under, *processes)
        console.print(f"{what}: {found.value:.2f} (95 % interval {found.low:.2f} to {found.high:.2f})")


def milliseconds(costs: OrderCosts, variant: str, *processes: str) -> str:
    """Return the processor time of an order as text; a dash for a process that the variant does not have."""
    if processes and not any(name in costs.idle[variant].cpu_seconds for name in processes):
        return "-"
    found = costs.cpu(variant, *processes)
    return f"{found.value * 1e3:.1f} ({found.low * 1e3:.1f}-{found.high * 1e3:.1f})"


def round_trips(costs: OrderCosts, variant: str) -> float:
    """Return the mean number of round trips of an order to PostgreSQL."""
    blocks = costs.blocks[variant]
    return sum(block.round_trips for block in blocks) / len(blocks)


def spans(costs: OrderCosts, variant: str) -> float:
    """Return the mean number of spans of an order."""
    blocks = costs.blocks[variant]
    return sum(block.spans for block in blocks) / len(blocks)


def idle_cores(costs: OrderCosts, variant: str) -> float:
    """Return the cores that a variant keeps busy without orders."""
    return sum(costs.idle[variant].cpu_seconds.values())


def result(options: OrderCostOptions, costs: OrderCosts) -> Mapping[str, object]:
    """Return the content of result.json: ratios with 95 % intervals, and the blocks that they come from."""

    def ratio(over: str, under: str, processes: tuple[str, ...]) -> Estimate:
        return costs.ratio(over, under, *processes)

    return {
        "options": {**asdict(options), "directory": str(options.directory)},
        "ratios": {what: asdict(ratio(*sides)) for what, sides in RATIOS.items()},
        "blocks": {variant: [asdict(block) for block in blocks] for variant, blocks in costs.blocks.items()},
        "idle": {variant: asdict(spent) for variant, spent in costs.idle.items()},
    }
