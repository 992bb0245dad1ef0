"""`plumb bench-overload`: what does the platform still do when far more is asked of it than it can?"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from observability.bench.overload import WORKS, Overload, OverloadRun, measure
from observability.demo.folders import make_run_directory, remove_run_directory, write_whole
from observability.experiments.runner.errors import TrialError
from observability.load.errors import LoadError
from observability.testbed.errors import TestbedError
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible

FORMAT = "plumbline-bench-overload/1"
_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_SIGNAL_BASE = 128
_MEBIBYTE = 1024 * 1024
_MILLISECONDS = 1e3


def bench_overload(
    *,
    work: Annotated[str, typer.Option(help=f"What is asked: {', '.join(WORKS)}.")] = "baskets",
    factor: Annotated[list[float] | None, typer.Option(help="Multiples of the peak; may be given again.")] = None,
    seed: Annotated[int, typer.Option(help="Fixes arrivals, orders, and which block comes first.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-overload"),
) -> None:
    """Ask the platform for 2, 5 and 10 times as much as it can do, with its guards and without.

    Goodput are the orders sold within the edge's deadline of 2 s. Takes about six minutes on a quiet machine.

    Exit codes: 0 measured, 1 it could not be carried out, 2 bad options, 130 interrupted.
    """
    console = Console(highlight=False)
    if work not in WORKS:
        typer.echo(f"plumb bench-overload: --work must be one of {', '.join(WORKS)}, not {work!r}", err=True)
        raise typer.Exit(_EXIT_USAGE)
    factors = factor or [2.0, 5.0, 10.0]
    directory = _directory(output)
    try:
        result = run_interruptible(
            lambda: measure(work, factors, seed=seed, folder=directory, say=console.print),
            again=lambda: console.print("already stopping"),
        )
        path = directory / "result.json"
        document = {"format": FORMAT, **asdict(result)}
        write_whole(path, orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    except (LocalError, LoadError, TrialError, TestbedError) as error:
        typer.echo(f"plumb bench-overload: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error
    except Interrupted as interruption:
        remove_run_directory(directory)
        typer.echo("plumb bench-overload: interrupted; everything is stopped", err=True)
        raise typer.Exit(_EXIT_SIGNAL_BASE + interruption.number) from interruption
    show(console, result)
    console.print(f"written to {path}", markup=False, soft_wrap=True)


def show(console: Console, result: Overload) -> None:
    """Print a row a block."""
    table = Table(title=f"{WORKS[result.work].words}; peak {result.peak_per_second:.1f} a second", title_justify="left")
    for heading in ("asked", "guards", "goodput/s", "of the peak", "p50 / p99 ms", "as before after", "MiB", "answers"):
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
        "on" if block.guarded else "off",
        f"{block.goodput_per_second:.1f}",
        f"{block.goodput_per_second / peak_per_second:.0%}",
        f"{block.p50_seconds * _MILLISECONDS:.0f} / {block.p99_seconds * _MILLISECONDS:.0f}",
        recovered,
        f"{block.memory_before_bytes / _MEBIBYTE:.0f}-{block.memory_peak_bytes / _MEBIBYTE:.0f}",
        ", ".join(f"{name} {count}" for name, count in most[:4]),
    )


def _directory(output: Path) -> Path:
    try:
        return make_run_directory(output)
    except TestbedError as error:
        typer.echo(f"plumb bench-overload: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error
