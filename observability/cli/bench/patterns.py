"""`plumb bench patterns`: a short measurement of each pattern, and the table in docs/patterns.md."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from observability.bench.patterns.blocks import SHORT, TINY, PatternBench
from observability.bench.patterns.catalogue import PATTERNS
from observability.bench.patterns.document import (
    RESULTS,
    TABLE,
    PatternResult,
    Results,
    encode,
    read_results,
    render,
    sentence,
)
from observability.bench.patterns.measurements import measure
from observability.bench.patterns.provenance import ROOT, commit, loop_milliseconds
from observability.cli.bench.results import run_folder, run_measurement
from observability.cli.exit_codes import USAGE, CommandFailed
from observability.demo.folders import write_file
from observability.testbed.environment import describe_hardware

NAMES = tuple(pattern.name for pattern in PATTERNS)


def bench_patterns(
    *,
    only: Annotated[
        list[str] | None, typer.Option(help="Measure this pattern only; may be repeated. Default: all.")
    ] = None,
    tiny: Annotated[
        bool,
        typer.Option("--tiny", help="Blocks too few and too short for a figure: shows that each measurement runs."),
    ] = False,
    render_only: Annotated[
        bool, typer.Option("--render", help="Measure nothing: write the table again from the results in --to.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the orders, the arrivals and the sequence of the blocks.")] = 1,
    to: Annotated[
        Path | None,
        typer.Option(help="Folder of patterns.json and patterns.md, such as docs; what is not measured now stays."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-patterns"),
) -> None:
    """Measure each pattern briefly, and write the table of patterns.

    Both sides of a comparison run alternately in one run; figures have 95 % intervals. Results are written after each
    measurement. Takes about twenty minutes on a quiet machine.

    Exit codes: 0 measured, 1 the measurement failed, 2 bad options, 130 interrupted.
    """
    console = Console(highlight=False)
    names = only or list(NAMES)
    if unknown := sorted(set(names) - set(NAMES)):
        raise CommandFailed(f"--only must be one of {', '.join(NAMES)}, not {', '.join(unknown)}", status=USAGE)
    if render_only:
        if to is None:
            raise CommandFailed("--render needs --to, the folder of patterns.json", status=USAGE)
        write(read(to), to)
        return
    with run_folder(output) as folder:
        target = to or folder
        before = read(target)
        bench = PatternBench(TINY if tiny else SHORT, seed, folder, say=console.print)
        run_measurement(lambda: measure_into(bench, names, before, target, console), console)
    console.print(f"written to {target / RESULTS} and {target / TABLE}", markup=False, soft_wrap=True)


async def measure_into(bench: PatternBench, names: list[str], results: Results, target: Path, console: Console) -> None:
    """Measure, and write the results so far after each measurement."""
    code, hardware = commit(), describe_hardware(platform_cpus=None)
    loop = loop_milliseconds()
    async for found in measure(bench, names):
        before, loop = loop, loop_milliseconds()
        for name, effects in found.items():
            measured = PatternResult(
                date=datetime.now(UTC).isoformat(timespec="seconds"),
                commit=code,
                loop_milliseconds=(before, loop),
                environment=hardware,
                effects=effects,
            )
            results = replace(results, patterns={**results.patterns, name: measured})
            for effect in effects:
                console.print(f"{name}: {sentence(effect)}", markup=False, soft_wrap=True)
        write(results, target)


def read(folder: Path) -> Results:
    """Return the results in a folder. Raises CommandFailed for a file that is none."""
    try:
        return read_results(folder / RESULTS)
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{folder / RESULTS} cannot be read: {error}", status=USAGE) from error


def write(results: Results, folder: Path) -> None:
    """Write the file of results and its table. Raises DemoError."""
    write_file(folder / RESULTS, encode(results))
    write_file(folder / TABLE, render(results, folder=folder.resolve(), root=ROOT).encode())
