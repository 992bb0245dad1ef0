"""`plumb bench scaling`: orders a second with 1, 2 and 4 order database servers, and a model's prediction for more."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.bench.patterns.provenance import commit
from observability.bench.scaling import Predicted, ScalingOptions, demand_of, measure, predict
from observability.bench.scaling_page import PAGE, page
from observability.cli.bench.results import run_folder, run_measurement, write_result
from observability.demo.folders import write_file
from observability.experiments.runner.testbed import platform_cpus
from observability.testbed.environment import describe_hardware

FORMAT = "plumbline-bench-scaling/1"
_MILLISECONDS = 1e3


def bench_scaling(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements with each number of servers.")] = 3,
    away_ms: Annotated[float, typer.Option(min=0, help="Delay of each server of orders, each way.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Seed of the orders, and of the customers of the model.")] = 1,
    to: Annotated[Path | None, typer.Option(help="Folder in which scaling.md is written, such as docs.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-scaling"),
) -> None:
    """Measure the orders a second on 1, 2 and 4 servers of orders, and compare them with a model.

    Each server has a network delay of some milliseconds and a pool of one connection, which limits its throughput. The
    servers share the processors of this machine, which must not be full. The model is fitted to the measurement with
    one server, and predicts 2, 4, 8, 64 and 256 servers: on this machine, and with a processor for each server. Takes
    about three minutes.

    Exit codes: 0 measured, 1 the measurement failed, 2 bad options, 130 interrupted.
    """
    console = Console(highlight=False)
    with run_folder(output) as folder:
        options = ScalingOptions(rounds=rounds, away_seconds=away_ms / _MILLISECONDS, seed=seed, directory=folder)
        figures = run_measurement(lambda: measure(options, say=console.print), console)
        predicted, demand = predict(figures, seed=seed), demand_of(figures)
        document = {
            "format": FORMAT,
            "options": {"rounds": rounds, "away_ms": away_ms, "seed": seed},
            "measured": [asdict(each) for each in figures],
            "demand": asdict(demand),
            "predicted": [{**asdict(each), "error": each.error} for each in predicted],
        }
        write_result(folder, document, console)
    if to is not None:
        told = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "rounds": str(rounds), "seed": str(seed)}
        told |= {"delay of each server": f"{away_ms:g} ms each way", **describe_hardware(platform_cpus=platform_cpus())}
        write_file(to / PAGE, page(figures, predicted, demand, told).encode())
    console.print(
        f"an order holds a connection to its server for {demand.server_seconds * _MILLISECONDS:.0f} ms, needs "
        f"{demand.processor_seconds * _MILLISECONDS:.0f} ms of processor, and takes "
        f"{demand.delay_seconds * _MILLISECONDS:.0f} ms beside",
        soft_wrap=True,
    )
    show(console, predicted)


def show(console: Console, predicted: Sequence[Predicted]) -> None:
    """Print what was measured beside what the model says."""
    table = Table("servers", "customers", "measured/s", "model/s", "error", "hot spot", "apart/s", "at most/s")
    for column in table.columns:
        column.justify = "right"
    for each in predicted:
        table.add_row(
            str(each.servers),
            str(each.customers),
            "" if each.measured_per_second is None else f"{each.measured_per_second:.1f}",
            f"{each.here_per_second:.1f}",
            "" if each.error is None else f"{each.error:+.0%}",
            f"{each.hot_spot_ratio:.2f}",
            f"{each.apart_per_second:.1f}",
            f"{each.most_per_second:.1f}",
        )
    console.print(table)
    console.print(
        "model: on this machine, with customers who order alike. Apart: each server and its services have a processor, "
        "and customers order as unevenly as in a shop (hot spot: busiest server / mean). Only 1 to 4 servers were "
        "measured, with connections as the limit",
        soft_wrap=True,
    )
