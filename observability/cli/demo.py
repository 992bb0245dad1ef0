"""`plumb demo`: run the whole platform under load on this machine, and write a report."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from observability.cli.exit_codes import CommandFailed
from observability.demo.options import DemoOptions
from observability.demo.run import Demo, FinishedDemo, link_experiment
from observability.experiments.runner.artifacts import GLANCE
from observability.experiments.runner.suite import Suite, SuiteOptions
from observability.report.demo.terminal import print_demo
from observability.report.experiment.files import write_report
from observability.report.experiment.terminal import print_trial
from services.local.platform.endpoints import Bus, Mode
from services.local.processes.signals import run_interruptible

_EXPERIMENT = "n_plus_one"


def demo(
    *,
    rate: Annotated[
        float | None,
        typer.Option(help="Orders per second, on average. Default: half of what this machine can sell, at most 50."),
    ] = None,
    duration: Annotated[float, typer.Option(help="Seconds during which orders are placed.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Seed of arrivals, baskets, customers and scarce SKUs.")] = 1,
    mode: Annotated[Mode, typer.Option(help="Separate services, or one process that runs the same code.")] = "services",
    bus: Annotated[
        Bus, typer.Option(help="Where events are published: a database, or a NATS server (nats-server installed).")
    ] = "postgres",
    lab: Annotated[
        bool, typer.Option("--lab/--no-lab", help="End with one short experiment: diagnose a bottleneck and fix it.")
    ] = True,
    output: Annotated[Path, typer.Option(help="Folder of all runs; each run gets a folder in it.")] = Path("out/demo"),
) -> None:
    """Start the platform, place orders at a steady rate, show what was measured, and stop everything.

    It ends with one experiment of the lab, `n_plus_one`, which takes two minutes: diagnose the bottleneck from what was
    observed, predict what its fix gains, seal the prediction, apply the fix, and measure again.

    About one order in ten finds a SKU sold out. Writes OUTPUT/RUN/report.html, result.json, load.json, traces and logs,
    and the newest report as OUTPUT/report.html. Several demos can run at the same time, since they use free ports.

    Exit codes: 0 done (a report may still call its latencies INVALID), 1 something failed or the traces are
    incomplete, 130 interrupted.
    """
    options = DemoOptions(rate_per_second=rate, duration_seconds=duration, seed=seed, mode=mode, bus=bus, output=output)
    console = Console()
    finished = run_interruptible(Demo(options, console=console).run, again=lambda: _already_stopping(console))
    _show(finished, console)
    if lab:
        _experiment(finished, seed, console)


def _experiment(finished: FinishedDemo, seed: int, console: Console) -> None:
    """Run one short experiment. A measurement that other work on the machine disturbed is reported, and no failure."""
    output = finished.latest.parent

    def say(sentence: str) -> None:
        console.print(sentence, style="dim", markup=False, highlight=False, soft_wrap=True)

    async def experiment() -> None:
        folder = SuiteOptions(output=output / "lab", sizes=GLANCE, fresh=True)
        async with Suite.open(folder, say=say) as series:
            trial, result = await series.run(_EXPERIMENT, seed)
        trial.folder.link_demo(finished.report)
        report, _ = await asyncio.to_thread(write_report, trial.folder)
        await asyncio.to_thread(link_experiment, finished, report)
        print_trial(console, trial, result)
        console.print(f"report         {report}", markup=False, highlight=False, soft_wrap=True)

    console.print("\n[bold]One experiment: measure, diagnose, predict, fix, measure again[/]")
    run_interruptible(experiment, again=lambda: _already_stopping(console))


def _already_stopping(console: Console) -> None:
    console.print("already stopping; this takes a few seconds")


def _show(finished: FinishedDemo, console: Console) -> None:
    """Print the result and where its files are. Raises CommandFailed when the traces are incomplete."""
    print_demo(console, finished.result)
    console.print()
    for name, path in (
        ("report", finished.latest),
        ("this run's", finished.report),
        ("all its files", finished.directory),
    ):
        console.print(f"{name:14} {path}", markup=False, highlight=False, soft_wrap=True)
    if broken := finished.result.integrity.broken:
        sentences = "; ".join(check.sentence for check in broken)
        raise CommandFailed(f"the traces are incomplete: {sentences}")
