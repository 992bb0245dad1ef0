"""`plumb bench overload`: goodput under several times the load that the platform can serve."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.bench.overload import WORKS, Overload, OverloadRun, measure
from observability.cli.bench.results import run_folder, run_measurement, write_result
from observability.cli.exit_codes import USAGE, CommandFailed

FORMAT = "plumbline-bench-overload/1"
_MEBIBYTE = 1024 * 1024
_MILLISECONDS = 1e3


def bench_overload(
    *,
    work: Annotated[str, typer.Option(help=f"Kind of orders: {', '.join(WORKS)}.")] = "baskets",
    factor: Annotated[
        list[float] | None, typer.Option(help="Multiple of the capacity; may be repeated. Default: 2, 5 and 10.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the arrivals, the orders and the sequence of the blocks.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-overload"),
) -> None:
    """Measure goodput at 2, 5 and 10 times the capacity, with overload protection and without.

    Goodput counts the orders sold within the edge's deadline of 2 s. Takes about six minutes on a quiet machine.

    Exit codes: 0 measured, 1 the measurement failed, 2 bad options, 130 interrupted.
    """
    console = Console(highlight=False)
    if work not in WORKS:
        raise CommandFailed(f"--work must be one of {', '.join(WORKS)}, not {work!r}", status=USAGE)
    factors = factor or [2.0, 5.0, 10.0]
    with run_folder(output) as folder:
        result = run_measurement(lambda: measure(work, factors, seed=seed, folder=folder, say=console.print), console)
        write_result(folder, {"format": FORMAT, **asdict(result)}, console)
    show(console, result)


def show(console: Console, result: Overload) -> None:
    """Print a row for each block."""
    table = Table(
        title=f"{WORKS[result.work].words}; capacity {result.peak_per_second:.1f} per second", title_justify="left"
    )
    for heading in (
        "load",
        "protection",
        "goodput/s",
        "of capacity",
        "p50 / p99 ms",
        "recovered after",
        "MiB",
        "answers",
    ):
        table.add_column(heading)
    for block in result.blocks:
        table.add_row(*_row(block, result.peak_per_second))
    console.print(table)
    for block in result.blocks:
        for reason in block.invalid_because:
            console.print(f"{block.factor:g} x: INVALID, {reason}", style="bold red")


def _row(block: OverloadRun, peak_per_second: float) -> tuple[str, ...]:
    recovered = "not within 10 s" if block.recovered_seconds is None else f"{block.recovered_seconds:.0f} s"
    most = sorted(block.answers.items(), key=lambda each: -each[1])
    return (
        f"{block.factor:g} x ({block.offered_per_second:.0f}/s)",
        "on" if block.protected else "off",
        f"{block.goodput_per_second:.1f}",
        f"{block.goodput_per_second / peak_per_second:.0%}",
        f"{block.p50_seconds * _MILLISECONDS:.0f} / {block.p99_seconds * _MILLISECONDS:.0f}",
        recovered,
        f"{block.memory_before_bytes / _MEBIBYTE:.0f}-{block.memory_peak_bytes / _MEBIBYTE:.0f}",
        ", ".join(f"{name} {count}" for name, count in most[:4]),
    )
