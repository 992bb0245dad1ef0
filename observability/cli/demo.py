"""`plumb demo`: what does the whole platform do under real demand, here and now?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from observability.lab.demo.options import DemoError, DemoOptions
from observability.lab.demo.run import Demo, Finished
from observability.lab.errors import LoadError
from observability.lab.report.terminal import print_demo
from services.local.endpoints import Bus, Mode
from services.local.errors import LocalError
from services.local.signals import Interrupted, run_interruptible

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
_EXIT_SIGNAL_BASE = 128


def demo(
    *,
    rate: Annotated[float, typer.Option(help="Orders a second, on average.")] = 25.0,
    duration: Annotated[float, typer.Option(help="Seconds during which orders become due.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Fixes arrivals, baskets, customers and which SKUs are scarce.")] = 1,
    mode: Annotated[Mode, typer.Option(help="Separate services, or one process with the same code.")] = "services",
    bus: Annotated[
        Bus, typer.Option(help="Where events are published: a database, or a NATS server (nats-server installed).")
    ] = "postgres",
    output: Annotated[Path, typer.Option(help="Each run gets a folder in here.")] = Path("out/demo"),
) -> None:
    """Start the platform, place orders at a steady rate, show what was measured, and stop everything.

    About one order in ten finds a SKU sold out. Writes OUTPUT/RUN/report.html, result.json, load.json, traces and
    logs, and the newest report as OUTPUT/report.html. Runs side by side do not meet: ports are free ones.

    Exit codes: 0 done (a report may still call its latencies INVALID), 1 something failed or the traces do not add up,
    130 interrupted.
    """
    options = DemoOptions(rate_per_second=rate, duration_seconds=duration, seed=seed, mode=mode, bus=bus, output=output)
    raise typer.Exit(_run(options, Console()))


def _run(options: DemoOptions, console: Console) -> int:
    try:
        finished = run_interruptible(
            lambda: Demo(options, console=console).run(),
            again=lambda: console.print("already stopping; this takes a few seconds"),
        )
    except (LocalError, LoadError, DemoError) as error:
        return _fail(str(error), _EXIT_FAILED)
    except Interrupted as interruption:
        return _fail("interrupted; everything is stopped", _EXIT_SIGNAL_BASE + interruption.number)
    except KeyboardInterrupt:
        return _fail("interrupted before anything was started", _EXIT_INTERRUPTED)
    return _show(finished, console)


def _show(finished: Finished, console: Console) -> int:
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
