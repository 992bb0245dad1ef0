"""`plumb demo`: the whole platform under real demand on this machine, and its report."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from observability.demo.options import DemoError, DemoOptions
from observability.demo.run import Demo, FinishedDemo, link_experiment
from observability.experiments.runner.artifacts import GLANCE
from observability.experiments.runner.errors import TrialError
from observability.experiments.runner.suite import Suite, SuiteOptions
from observability.load.errors import LoadError
from observability.report.demo.terminal import print_demo
from observability.report.experiment.files import write_report
from observability.report.experiment.terminal import print_trial
from observability.testbed.errors import TestbedError
from services.local.platform.endpoints import Bus, Mode
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible

_EXPERIMENT = "n_plus_one"
_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
_EXIT_SIGNAL_BASE = 128


def demo(
    *,
    rate: Annotated[
        float | None, typer.Option(help="Orders a second, on average; by default half of what this machine sells.")
    ] = None,
    duration: Annotated[float, typer.Option(help="Seconds during which orders become due.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Fixes arrivals, baskets, customers and which SKUs are scarce.")] = 1,
    mode: Annotated[Mode, typer.Option(help="Separate services, or one process with the same code.")] = "services",
    bus: Annotated[
        Bus, typer.Option(help="Where events are published: a database, or a NATS server (nats-server installed).")
    ] = "postgres",
    lab: Annotated[
        bool, typer.Option("--lab/--no-lab", help="End with one short experiment: a bottleneck named, and put right.")
    ] = True,
    output: Annotated[Path, typer.Option(help="Each run gets a folder in here.")] = Path("out/demo"),
) -> None:
    """Start the platform, place orders at a steady rate, show what was measured, and stop everything.

    At its end one experiment of the lab, `n_plus_one`, in two minutes: the bottleneck is named from what was observed,
    what its fix gains is predicted, and the prediction is sealed before the fix is measured.

    About one order in ten finds a SKU sold out. Writes OUTPUT/RUN/report.html, result.json, load.json, traces and
    logs, and the newest report as OUTPUT/report.html. Runs side by side do not meet: ports are free ones.

    Exit codes: 0 done (a report may still call its latencies INVALID), 1 something failed or the traces do not add up,
    130 interrupted.
    """
    options = DemoOptions(rate_per_second=rate, duration_seconds=duration, seed=seed, mode=mode, bus=bus, output=output)
    console = Console()
    finished: list[FinishedDemo] = []

    async def run() -> None:
        finished.append(await Demo(options, console=console).run())

    status = _guarded(run, console) or _show(finished[0], console)
    raise typer.Exit(status or (_experiment(finished[0], seed, console) if lab else 0))


def _experiment(finished: FinishedDemo, seed: int, console: Console) -> int:
    """Run one short experiment. A measurement that the machine spoiled is said to be so, and is no failure."""
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

    console.print("\n[bold]One experiment: measure, name, predict, fix, measure again[/]")
    return _guarded(experiment, console)


def _guarded(run: Callable[[], Coroutine[Any, Any, None]], console: Console) -> int:
    """Run to the end; return 0, or the exit code of what went wrong, which was said then."""
    try:
        run_interruptible(run, again=lambda: console.print("already stopping; this takes a few seconds"))
    except (TestbedError, LocalError, LoadError, DemoError, TrialError) as error:
        return _fail(str(error), _EXIT_FAILED)
    except Interrupted as interruption:
        return _fail("interrupted; everything is stopped", _EXIT_SIGNAL_BASE + interruption.number)
    except KeyboardInterrupt:
        return _fail("interrupted before anything was started", _EXIT_INTERRUPTED)
    return 0


def _show(finished: FinishedDemo, console: Console) -> int:
    print_demo(console, finished.result)
    console.print()
    for what, path in (
        ("report", finished.latest),
        ("this run's", finished.report),
        ("all its files", finished.directory),
    ):
        console.print(f"{what:14} {path}", markup=False, highlight=False, soft_wrap=True)
    if broken := finished.result.integrity.broken:
        return _fail(f"the traces do not add up: {'; '.join(check.sentence for check in broken)}", _EXIT_FAILED)
    return 0


def _fail(message: str, code: int) -> int:
    typer.echo(f"plumb demo: {message}", err=True)
    return code
